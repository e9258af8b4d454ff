import type { Format } from "../logic/format";
import type { Case, Named, Side, SourceRecord } from "./api";
import { difference, relation, type Piece, type Relation } from "./diff";

const signs: Record<Relation, string> = { equal: "=", different: "≠", one: "◐", neither: "–" };

/** Two records, field by field; what differs is marked within the value, by weight and a line, and named beside it. */
export function Records({ case: c, format }: { case: Case; format: Format }) {
  const t = format.t;
  return (
    <div class="scroll" tabIndex={0} role="region" aria-label={t("case.title")}>
      <table class="records">
        <thead>
          <tr>
            <th scope="col">{t("case.field")}</th>
            <th scope="col">{t("case.left")}<Source record={c.left.record} /></th>
            <th scope="col">{t("case.right")}<Source record={c.right.record} /></th>
            <th scope="col">{t("case.compare")}</th>
          </tr>
        </thead>
        <tbody>
          {c.fields.map((field, i) => <FieldRow key={field.name} field={field} left={c.left.record.values?.[i] ?? ""} right={c.right.record.values?.[i] ?? ""} format={format} />)}
        </tbody>
      </table>
    </div>
  );
}

function Source({ record }: { record: SourceRecord }) {
  return <small class="source"><span>{record.dataset}</span> <span>{record.role}</span></small>;
}

function FieldRow({ field, left, right, format }: { field: Named; left: string; right: string; format: Format }) {
  const t = format.t;
  const how = relation(left, right);
  const [x, y] = how === "different" ? difference(left, right) : [[{ text: left, same: true }], [{ text: right, same: true }]];
  return (
    <tr class={`relation-${how}`}>
      <th scope="row">{format.text(field) || field.name}</th>
      <td><Value pieces={x} format={format} /></td>
      <td><Value pieces={y} format={format} /></td>
      <td class="relation"><span aria-hidden="true">{signs[how]}</span>{t(`relation.${how}`)}</td>
    </tr>
  );
}

function Value({ pieces, format }: { pieces: Piece[]; format: Format }) {
  if (!pieces.some((p) => p.text)) return <span class="absent">{format.t("case.absent")}</span>;
  // Source text, in Chinese whatever the page's language: its characters must not take another script's shape.
  return <span class="value" lang="zh-CN">{pieces.map((p, i) => (p.same ? p.text : <mark key={i}>{p.text}</mark>))}</span>;
}

/** What is already together with either record. */
export function Neighbours({ case: c, format }: { case: Case; format: Format }) {
  const t = format.t;
  return (
    <section class="panel" aria-labelledby="cluster-title">
      <div class="panel-head"><h3 id="cluster-title">{t("cluster.title")}</h3></div>
      <Cluster side={c.left} fields={c.fields} title={t("cluster.left", { n: format.number(c.left.members - 1) })} format={format} />
      <Cluster side={c.right} fields={c.fields} title={t("cluster.right", { n: format.number(c.right.members - 1) })} format={format} />
    </section>
  );
}

function Cluster({ side, fields, title, format }: { side: Side; fields: Named[]; title: string; format: Format }) {
  const t = format.t;
  const list = side.neighbours ?? [];
  if (list.length === 0) return <p class="cluster-none">{title}</p>;
  return (
    <div class="scroll cluster" tabIndex={0} role="region" aria-label={title}>
      <table>
        <caption>{title}{list.length < side.members - 1 && <>; {t("cluster.shown", { n: list.length })}</>}</caption>
        <thead>
          <tr><th scope="col">{t("cluster.source")}</th>{fields.map((f) => <th scope="col" key={f.name}>{format.text(f) || f.name}</th>)}</tr>
        </thead>
        <tbody>
          {list.map((record) => (
            <tr key={record.id}>
              <th scope="row"><Source record={record} /></th>
              {fields.map((f, i) => <td key={f.name} lang="zh-CN">{record.values?.[i] || <span class="absent" aria-label={t("case.absent")}>–</span>}</td>)}
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}
