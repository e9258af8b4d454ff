import { useMemo } from "preact/hooks";
import type { Text } from "../api";
import { ReadFailed } from "../parts/states";
import { useCounter, useRemote } from "../remote";
import { Shell, usePage, word, type Page } from "./shell";

export interface Field { name: string; title: Text; type: string; key?: boolean; required?: boolean; sensitivity: string; sharing: string }
export interface Item {
  dataset: string; title: Text; department: string; owner: Text; update_cycle: string; sharing: string; ground?: string; sensitivity: string; fields: Field[];
  measured?: { last_load: string | null; rows: number; quarantined: number; quarantined_share: number | null };
}
export interface Catalogue { number: number; hash: string; since: string | null; count: number; items: Item[] }

/** What the county can share: to browse, to search, to take away. */
export function CatalogueApp() {
  const page = usePage();
  const { place, choose, format, department } = page;
  const t = format.t;
  const [tries, retry] = useCounter();
  const { data, failure } = useRemote<Catalogue>("/api/v1/catalogue", String(tries));
  const departments = useMemo(() => [...new Set((data?.items ?? []).map((i) => i.department))].sort(), [data]);
  const shown = (data?.items ?? []).filter((i) => {
    const text = [i.dataset, i.title.zh, i.title.en, i.owner.zh, i.owner.en, department(i.department), ...i.fields.flatMap((f) => [f.name, f.title.zh, f.title.en])].join("\n").toLowerCase();
    return (!place.q || text.includes(place.q.toLowerCase())) && (!place.type || i.sharing === place.type) && (!place.department || i.department === place.department);
  });
  return (
    <Shell page={page} title="catalogue">
      {!data && failure ? <ReadFailed title={t("sharing.failed")} failure={failure} retry={retry} format={format} /> : !data ? <p role="status">{t("sharing.reading")}</p> : data.items.length === 0 ? <section class="message"><p>{t("sharing.empty")}</p><code>shire check</code></section> : (
        <>
          <div class="controls sharing-controls">
            <label class="field">
              <span class="visually-hidden">{t("sharing.search")}</span>
              <input type="search" value={place.q ?? ""} maxLength={64} placeholder={t("sharing.search")} onInput={(e) => choose({ q: e.currentTarget.value }, true)} />
            </label>
            <div class="segments" role="group" aria-label={t("sharing.kind")}>
              {["", "unconditional", "conditional", "none"].map((type) => (
                <button key={type} type="button" aria-pressed={(place.type ?? "") === type} onClick={() => choose({ type })}>{type ? word(format, "type", type) : t("sharing.all")}</button>
              ))}
            </div>
            <label class="field">
              <span>{t("sharing.owner")}</span>
              <select value={place.department ?? ""} onChange={(e) => choose({ department: e.currentTarget.value })}>
                <option value="">{t("sharing.all")}</option>
                {departments.map((code) => <option key={code} value={code}>{department(code)}</option>)}
              </select>
            </label>
            <span class="exports">{t("sharing.export")} {["csv", "xlsx", "dcat"].map((f) => <a key={f} class="link" href={`/api/v1/catalogue?format=${f}`} download>{f.toUpperCase()}</a>)}</span>
          </div>
          <section class="panel">
            <p class="definition" role="status">{t("sharing.count", { n: format.number(shown.length) })}{data.since && <> · {t("sharing.version", { n: data.number, time: format.time(new Date(data.since)) })}</>} · <code title={data.hash}>{data.hash.slice(0, 12)}</code></p>
            {shown.length === 0 ? <p>{t("sharing.noMatch")}</p> : shown.map((item) => <Entry key={item.dataset} item={item} page={page} open={place.item === item.dataset} />)}
          </section>
        </>
      )}
    </Shell>
  );
}

function Entry({ item, page: { format, choose, department }, open }: { item: Item; page: Page; open: boolean }) {
  const t = format.t;
  const m = item.measured;
  return (
    <details class="entry" open={open} onToggle={(e) => { if (e.currentTarget.open !== open) choose({ item: e.currentTarget.open ? item.dataset : "" }, true); }}>
      <summary>
        <b>{format.text(item.title)}</b> <code>{item.dataset}</code>
        <span>{department(item.department)}</span>
        <span class={`kind kind-${item.sharing}`}>{word(format, "type", item.sharing)}</span>
        <span>{word(format, "level", item.sensitivity)}</span>
        <span>{m?.last_load ? format.time(new Date(m.last_load)) : t("sharing.never")}</span>
      </summary>
      <dl class="facts">
        <div><dt>{t("sharing.owner")}</dt><dd>{format.text(item.owner)}</dd></div>
        <div><dt>{t("sharing.cycle")}</dt><dd>{word(format, "every", item.update_cycle)}</dd></div>
        <div><dt>{t("sharing.fresh")}</dt><dd>{m?.last_load ? format.time(new Date(m.last_load)) : t("sharing.never")}</dd></div>
        <div><dt>{t("sharing.quality")}</dt><dd>{m?.quarantined_share == null ? "–" : format.value(m.quarantined_share, "share")}</dd></div>
        {item.ground && <div><dt>{t("sharing.ground")}</dt><dd>{item.ground}</dd></div>}
      </dl>
      <div class="scroll" tabIndex={0} role="region" aria-label={t("sharing.fields")}>
        <table>
          <thead><tr><th scope="col">{t("sharing.fields")}</th><th scope="col" /><th scope="col">{t("sharing.sensitivity")}</th><th scope="col">{t("sharing.kind")}</th></tr></thead>
          <tbody>
            {item.fields.map((f) => (
              <tr key={f.name}><th scope="row">{format.text(f.title) || f.name}</th><td><code>{f.name}</code>{f.required && <small> {t("sharing.required")}</small>}</td><td>{word(format, "level", f.sensitivity)}</td><td class={`kind-${f.sharing}`}>{word(format, "type", f.sharing)}</td></tr>
            ))}
          </tbody>
        </table>
      </div>
    </details>
  );
}
