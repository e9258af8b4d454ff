import type { ComponentChildren } from "preact";
import type { Format } from "../logic/format";
import { download, type TableModel } from "../logic/table";
import { DataTable } from "../parts/panel";
import type { Interval, Registered, Word } from "./api";
import type { Choose } from "./app";
import type { EvaluationState, FigureName } from "./state";
import { gainText, onScale } from "./words";

/** The verdict's word, by colour and by text. */
export function Badge({ word, format }: { word: Word; format: Format }) {
  return <span class={`badge badge-${word}`}>{format.t(`evaluation.word.${word}`)}</span>;
}

/** That it was registered after its result had been seen: said wherever the registration is shown, for ever. */
export function LateMark({ of, format }: { of: Registered; format: Format }) {
  if (!of.late) return null;
  return (
    <p class="late" role="note">
      <span aria-hidden="true">⚠</span> {format.t("evaluation.late", { seen: of.seen_at ? format.time(new Date(of.seen_at)) : "" })}
    </p>
  );
}

/** An interval of gains on a scale from −100% to 100%, with no change and one half marked. */
export function GainBar({ gain, format }: { gain: Interval; format: Format }) {
  const at = onScale(gain);
  return (
    <div class="gain" role="img" aria-label={gainText(format, gain)}>
      <svg viewBox="0 0 100 14" preserveAspectRatio="none" aria-hidden="true">
        <line class="gain-axis" x1="0" x2="100" y1="7" y2="7" />
        <line class="gain-zero" x1="50" x2="50" y1="0" y2="14" />
        <line class="gain-half" x1="75" x2="75" y1="0" y2="14" />
        <rect class="gain-range" x={at.low} width={Math.max(0.6, at.high - at.low)} y="4" height="6" />
        <line class="gain-value" x1={at.value} x2={at.value} y1="1.5" y2="12.5" />
      </svg>
      <span class="gain-labels" aria-hidden="true"><i>−100%</i><i>0</i><i>50%</i><i>100%</i></span>
    </div>
  );
}

interface FigureProps {
  name: FigureName;
  title: string;
  table: TableModel;
  file: string;
  view: EvaluationState;
  choose: Choose;
  format: Format;
  note?: string;
  legend?: ComponentChildren;
  children: ComponentChildren;
}

/** A chart with its head: it can be viewed as a table and taken away as CSV. */
export function Figure({ name, title, table, file, view, choose, format, note, legend, children }: FigureProps) {
  const t = format.t;
  const asTable = view.tables.includes(name);
  return (
    <section class="panel" aria-labelledby={`title-${name}`} data-figure={name}>
      <div class="panel-head">
        <h2 id={`title-${name}`}>{title}</h2>
        <div class="panel-legend">{legend}</div>
        <div class="panel-tools">
          <button type="button" class="quiet" onClick={() => choose({ tables: asTable ? view.tables.filter((n) => n !== name) : [...view.tables, name] })}>{t(asTable ? "panel.chart" : "panel.table")}</button>
          <button type="button" class="quiet" onClick={() => download(`${file}_${name}.csv`, table)}>{t("panel.csv")}</button>
        </div>
      </div>
      {asTable ? <DataTable table={table} /> : children}
      {note && <p class="definition">{note}</p>}
    </section>
  );
}
