import { useEffect, useState } from "preact/hooks";
import type { Item } from "./catalogue";
import { purpose, type Desk } from "./requests";
import { word, type Page } from "./shell";

export interface Terms { dataset: string; fields: Record<string, string>; purpose: string; items: string[]; rows: { divisions?: string[]; own?: boolean }; from: string; until: string }

const codes = (text: string) => text.split(/[\s,，、]+/).filter(Boolean);

/** What is asked for, or granted: fields with how much of each, purpose, service items, rows and time. */
export function TermsForm({ page, desk, items, start, change }: { page: Page; desk: Desk; items: Item[]; start: Terms | null; change: (terms: Terms) => void }) {
  const { format } = page;
  const t = format.t;
  const [dataset, setDataset] = useState(start?.dataset ?? "");
  const [fields, setFields] = useState<Record<string, string>>(start?.fields ?? {});
  const [what, setWhat] = useState(start?.purpose ?? "");
  const [services, setServices] = useState((start?.items ?? []).join(" "));
  const [divisions, setDivisions] = useState((start?.rows.divisions ?? []).join(" "));
  const [own, setOwn] = useState(start?.rows.own ?? false);
  const day = (years: number) => { const d = new Date(); d.setFullYear(d.getFullYear() + years); return d.toISOString().slice(0, 10); };
  const [from, setFrom] = useState(start?.from.slice(0, 10) ?? day(0));
  const [until, setUntil] = useState(start?.until.slice(0, 10) ?? day(1));
  useEffect(() => {
    // A day that was not touched stays the moment that it was: what is granted must not begin before what was asked for.
    const moment = (now: string, was: string | undefined) => (was?.slice(0, 10) === now ? was : `${now}T00:00:00Z`);
    const rows = { ...(codes(divisions).length ? { divisions: codes(divisions) } : {}), ...(own ? { own } : {}) };
    change({ dataset, fields, purpose: what, items: codes(services), rows, from: moment(from, start?.from), until: moment(until, start?.until) });
  }, [dataset, fields, what, services, divisions, own, from, until]);
  const item = items.find((i) => i.dataset === dataset);
  return (
    <div class="terms">
      {!start && <label class="stacked"><span>{t("sharing.item")}</span>
        <select value={dataset} required onChange={(e) => { setDataset(e.currentTarget.value); setFields({}); }}>
          <option value="">{t("sharing.choose")}</option>
          {items.map((i) => <option key={i.dataset} value={i.dataset}>{format.text(i.title)} · {page.department(i.department)}</option>)}
        </select>
      </label>}
      {item && (
        <fieldset><legend>{t("sharing.fields")}</legend>
          {item.fields.filter((f) => f.sharing !== "none").map((f) => (
            <label key={f.name}><span>{format.text(f.title) || f.name}</span>
              <select value={fields[f.name] ?? ""} onChange={(e) => { const { [f.name]: _, ...rest } = fields; setFields(e.currentTarget.value ? { ...rest, [f.name]: e.currentTarget.value } : rest); }}>
                <option value="">{t("sharing.notAsked")}</option>
                {desk.masks.map((m) => <option key={m} value={m}>{word(format, "mask", m)}</option>)}
              </select>
            </label>
          ))}
        </fieldset>
      )}
      <label class="stacked"><span>{t("sharing.purpose")}</span>
        <select value={what} required onChange={(e) => setWhat(e.currentTarget.value)}><option value="">{t("sharing.choose")}</option>{desk.purposes.map((p) => <option key={p.key} value={p.key}>{purpose(desk, p.key, page)}</option>)}</select>
      </label>
      <label class="stacked"><span>{t("sharing.items")}</span><input value={services} required onInput={(e) => setServices(e.currentTarget.value)} /></label>
      <label class="stacked"><span>{t("sharing.divisions")}</span><input value={divisions} onInput={(e) => setDivisions(e.currentTarget.value)} /></label>
      <label class="own-only"><input type="checkbox" checked={own} onChange={(e) => setOwn(e.currentTarget.checked)} /> {t("sharing.own")}</label>
      <label class="stacked"><span>{t("sharing.begin")}</span><input type="date" value={from} required onInput={(e) => setFrom(e.currentTarget.value)} /></label>
      <label class="stacked"><span>{t("sharing.until")}</span><input type="date" value={until} required onInput={(e) => setUntil(e.currentTarget.value)} /></label>
    </div>
  );
}
