import type { ComponentChildren } from "preact";
import { usePage } from "../context";
import type { PanelName } from "../logic/state";
import { download, type TableModel } from "../logic/table";
import type { Remote } from "../remote";
import { reason } from "./states";

interface PanelProps {
  name: PanelName;
  title: string;
  remote: Remote<unknown>[];
  table: TableModel | null; // null: nothing has been read yet
  legend?: ComponentChildren;
  below?: ComponentChildren;
  children: ComponentChildren; // the chart
}

/** A chart with its head: it can be viewed as a table and taken away as CSV. */
export function Panel({ name, title, remote, table, legend, below, children }: PanelProps) {
  const page = usePage();
  const { view, choose, format, retry } = page;
  const t = format.t;
  const asTable = view.tables.includes(name);
  const failure = remote.find((r) => r.failure)?.failure;
  const toggle = () => choose({ tables: asTable ? view.tables.filter((n) => n !== name) : [...view.tables, name] });
  const file = [page.county.division, view.metric, name, page.period.from, page.period.to].join("_") + ".csv";
  return (
    <section class={`panel panel-${name}${asTable ? " as-table" : ""}`} aria-labelledby={`title-${name}`} aria-busy={remote.some((r) => r.pending)}>
      <div class="panel-head">
        <h2 id={`title-${name}`}>{title}</h2>
        <div class="panel-legend">{legend}</div>
        {view.view === "page" && (
          <div class="panel-tools">
            <button type="button" class="quiet" onClick={toggle}>{t(asTable ? "panel.chart" : "panel.table")}</button>
            <button type="button" class="quiet" disabled={!table} onClick={() => table && download(file, table)}>{t("panel.csv")}</button>
          </div>
        )}
      </div>
      {failure && (
        <div class="panel-failure" role="alert">
          <p>{t("load.panelFailed", { detail: reason(failure, t) })}</p>
          <button type="button" class="quiet" onClick={retry}>{t("load.retry")}</button>
        </div>
      )}
      {table ? asTable && view.view === "page" ? <DataTable table={table} /> : children : !failure && <div class="bone bone-chart" role="status"><span class="visually-hidden">{t("panel.loading")}</span></div>}
      {below}
    </section>
  );
}

export function DataTable({ table }: { table: TableModel }) {
  return (
    <div class="scroll" tabIndex={0} role="region" aria-label={table.caption}>
      <table>
        <caption>{table.caption}</caption>
        <thead>
          <tr>{table.head.map((h, i) => <th scope="col" key={i} class={table.rows[0]?.[i]?.numeric ? "num" : ""}>{h}</th>)}</tr>
        </thead>
        <tbody>
          {table.rows.map((row, i) => (
            <tr key={i}>
              {row.map((c, j) => (j === 0 ? <th scope="row" key={j}>{c.text}</th> : <td key={j} class={c.numeric ? "num" : ""}>{c.text}</td>))}
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}
