import type { Format } from "../logic/format";
import { download, figure, words, type TableModel } from "../logic/table";
import type { Case, Explanation, Wording } from "./api";
import { bar, place, waterfall, type Row, type Waterfall } from "./weights";
import { bits, levelOf, percent, titleOf } from "./words";

interface EvidenceProps {
  case: Case;
  explanation: Explanation;
  wording: Wording | null;
  format: Format;
}

/** The waterfall of the evidence. It is a table whose last column is drawn: those who see and those who listen get the same. */
export function Evidence({ case: c, explanation, wording, format }: EvidenceProps) {
  const t = format.t;
  const w = waterfall(explanation, wording);
  const rows = w.rows.map((row) => ({ row, ...said(row, w, c, wording, format) }));
  const table: TableModel = {
    caption: t("evidence.title"), head: [t("evidence.comparison"), t("evidence.level"), t("evidence.bits"), t("evidence.flow")], units: ["", "", "bit", "bit"],
    rows: rows.map(({ row, name, level }) => [words(name), words(level), figure(bits(format, row.bits), row.bits), figure(bits(format, row.to), row.to)]),
  };
  return (
    <section class="panel" aria-labelledby="evidence-title">
      <div class="panel-head">
        <h3 id="evidence-title">{t("evidence.title")}</h3>
        <div class="panel-tools"><button type="button" class="quiet" onClick={() => download(`evidence_${c.a}_${c.b}.csv`, table)}>{t("panel.csv")}</button></div>
      </div>
      {explanation.conflict && <p class="conflict">{t("case.conflict")}</p>}
      <table class="waterfall" aria-label={t("evidence.summary", { prior: bits(format, w.rows[0]!.bits), sum: bits(format, w.rows.at(-1)!.bits) })}>
        <thead>
          <tr>
            <th scope="col">{t("evidence.comparison")}</th>
            <th scope="col">{t("evidence.level")}</th>
            <th scope="col" class="num">{t("evidence.bits")}</th>
            <th scope="col" class="flow">
              <span class="visually-hidden">{t("evidence.flow")}</span>
              <Threshold w={w} at={w.review} usual="before" text={w.review === null ? "" : t("evidence.review", { bits: bits(format, w.review) })} />
              <Threshold w={w} at={w.link} usual="after" text={w.link === null ? "" : t("evidence.link", { bits: bits(format, w.link) })} />
            </th>
          </tr>
        </thead>
        <tbody>
          {rows.map(({ row, name, level }, i) => (
            <tr key={i} class={`flow-${row.kind}`}>
              <th scope="row">{name}</th>
              <td class="prose">{level}{row.rarity !== 0 && <small>{t("evidence.rarity", { bits: bits(format, row.rarity) })}</small>}{row.source !== 0 && <small>{t("evidence.source", { bits: bits(format, row.source) })}</small>}</td>
              <td class="num">{bits(format, row.bits)}</td>
              <td class="flow"><Bar w={w} row={row} /><span class="visually-hidden">{bits(format, row.to)}</span></td>
            </tr>
          ))}
        </tbody>
      </table>
      <p class="definition">{t("evidence.what")} <span>{t("evidence.model", { model: explanation.model })}</span></p>
    </section>
  );
}

function said(row: Row, w: Waterfall, c: Case, wording: Wording | null, format: Format): { name: string; level: string } {
  const t = format.t;
  switch (row.kind) {
    case "prior":
      return { name: t("evidence.prior"), level: t("evidence.priorWhat") };
    case "step":
      return { name: titleOf(format, wording?.comparisons, row.name), level: levelOf(format, row.level) };
    case "doubt":
      return { name: t("evidence.doubt"), level: titleOf(format, wording?.doubts, row.name) };
    case "sum":
      return { name: t("evidence.sum"), level: w.ruledOut ? t("evidence.ruledOut") : t("evidence.sumWhat", { p: percent(format, c.probability) }) };
  }
}

const at = (percent: number) => `${percent.toFixed(2)}%`;

const near = 18; // percent from an end of the scale, within which a name has no room

/** A threshold's name over its line: on the outer side of the two, unless the scale ends there. */
function Threshold({ w, at: value, usual, text }: { w: Waterfall; at: number | null; usual: "before" | "after"; text: string }) {
  if (value === null) return null;
  const from = place(w, value);
  const side = from < near ? "after" : from > 100 - near ? "before" : usual;
  return <span class={`threshold threshold-${side}`} style={side === "before" ? { right: at(100 - from) } : { left: at(from) }}>{text}</span>;
}

function Bar({ w, row }: { w: Waterfall; row: Row }) {
  const { left, width } = bar(w, row);
  return (
    <span class="flow-drawn" aria-hidden="true">
      <i class="flow-zero" style={{ left: at(place(w, 0)) }} />
      {w.review !== null && <i class="flow-line" style={{ left: at(place(w, w.review)) }} />}
      {w.link !== null && <i class="flow-line" style={{ left: at(place(w, w.link)) }} />}
      {row.bits !== 0 && <i class={`flow-bar ${row.bits > 0 ? "for" : "against"}`} style={{ left: at(left), width: at(width) }} />}
      {row.bits === 0 && row.kind !== "sum" && <i class="flow-still" style={{ left: at(left) }} />}
    </span>
  );
}
