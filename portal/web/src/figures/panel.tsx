import type { ComponentChildren } from "preact";
import { download, type TableModel } from "../logic/table";
import { DataTable } from "../parts/panel";
import { reason } from "../parts/states";
import type { Remote } from "../remote";
import { useFigures } from "./context";
import type { FigurePanel } from "./state";

interface FigPanelProps {
  name: FigurePanel | "events";
  title: string;
  metric: string;
  remote: Remote<unknown>;
  table: TableModel | null; // null: nothing has been read yet
  legend?: ComponentChildren;
  below?: ComponentChildren;
  children: ComponentChildren;
}

/** A part of the page with its head: it can be taken away as CSV, and a drawing can be viewed as a table. */
export function FigPanel({ name, title, metric, remote, table, legend, below, children }: FigPanelProps) {
  const { county, view, choose, period, format, retry } = useFigures();
  const t = format.t;
  const asTable = name !== "events" && view.tables.includes(name);
  const file = [county.division, metric, name, period.from, period.to].join("_") + ".csv";
  return (
    <section class={`panel fig-${name}`} aria-labelledby={`title-${name}`} aria-busy={remote.pending}>
      <div class="panel-head">
        <h2 id={`title-${name}`}>{title}</h2>
        <div class="panel-legend">{legend}</div>
        <div class="panel-tools">
          {name !== "events" && <button type="button" class="quiet" onClick={() => choose({ tables: asTable ? view.tables.filter((n) => n !== name) : [...view.tables, name] })}>{t(asTable ? "panel.chart" : "panel.table")}</button>}
          <button type="button" class="quiet" disabled={!table || table.rows.length === 0} onClick={() => table && download(file, table)}>{t("panel.csv")}</button>
        </div>
      </div>
      {remote.failure && (
        <div class="panel-failure" role="alert">
          <p>{t("load.panelFailed", { detail: reason(remote.failure, t) })}</p>
          <button type="button" class="quiet" onClick={retry}>{t("load.retry")}</button>
        </div>
      )}
      <div class={remote.pending && table ? "pending" : ""}>
        {table ? asTable ? <DataTable table={table} /> : children : !remote.failure && <div class="bone bone-chart" role="status"><span class="visually-hidden">{t("panel.loading")}</span></div>}
      </div>
      {below}
    </section>
  );
}
