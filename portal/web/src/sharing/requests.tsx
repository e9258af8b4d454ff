import { useState } from "preact/hooks";
import { change, Failure, type Door, type Text } from "../api";
import { ReadFailed, sentence } from "../parts/states";
import { SignIn } from "../parts/signin";
import { useBeat, useRemote } from "../remote";
import { useSession } from "../session";
import type { Catalogue } from "./catalogue";
import { Shell, usePage, word, type Page } from "./shell";
import { TermsForm, type Terms } from "./terms";

const door: Door = { session: "/api/v1/officers/session", header: "X-Shire-Requests" };

interface Clock { department: string; deadline: string; since: string; days: number; due: string | null; left: number | null; overdue: boolean; calendar_missing?: number; rule: string; jurisdiction: Text }
interface Overdue { id: string; from: string; owner: string; dataset: string; type: string; state: string; clock: Clock }
interface Request extends Omit<Overdue, "clock"> { terms: Terms; since: string; asked: string; reviewed: string | null; in_force: boolean; ground?: string; clock: Clock | null; may: string[] }
interface Act { number: number; act: string; at: string; department: string; by: string; terms?: Terms; reason?: string; ground?: string }
interface Label { key: string; zh: string; en: string }
export interface Desk { department: string; lead: boolean; purposes: Label[]; departments: Label[]; masks: string[] }

const states = ["", "asked", "given_back", "approved", "live", "suspended", "refused", "withdrawn", "revoked"];

/** Requests between departments with their clocks: what is overdue for everybody, the rest for officers. */
export function RequestsApp() {
  const page = usePage();
  const who = useSession(door);
  const [beat, look] = useBeat(15_000);
  const t = page.format.t;
  return (
    <Shell page={page} title="requests" who={who}>
      {!page.place.request && <OverdueList page={page} beat={beat} />}
      {who.state === "in" ? <Mine page={page} beat={beat} look={look} expire={who.expire} /> : who.state === "out" ? (
        <SignIn door={door} what={t("sharing.signinWhat")} ended={who.ended ? t("sharing.ended") : ""} how={t("sharing.how")} command="shire sharing officers add NAME --department CODE" enter={who.enter} format={page.format} />
      ) : who.failure && <ReadFailed title={t("sharing.failed")} failure={who.failure} retry={who.retry} format={page.format} />}
    </Shell>
  );
}

function ClockText({ clock, page: { format, department } }: { clock: Clock | null; page: Page }) {
  const t = format.t;
  if (!clock) return <span class="absent">–</span>;
  const title = `${clock.rule} · ${format.text(clock.jurisdiction)}`;
  const text = clock.due === null || clock.left === null ? t("sharing.unknownDue", { year: String(clock.calendar_missing ?? "") })
    : clock.overdue ? t("sharing.late", { n: format.number(-clock.left), day: clock.due }) : t("sharing.left", { n: format.number(clock.left), day: clock.due });
  return <span class={clock.overdue ? "bad" : ""} title={title}>{text}<small>{t("sharing.waitsFor", { name: department(clock.department) })}</small></span>;
}

function OverdueList({ page, beat }: { page: Page; beat: number }) {
  const t = page.format.t;
  const { data, failure } = useRemote<Overdue[]>("/api/v1/requests/overdue", String(beat));
  return (
    <section class="panel" aria-labelledby="overdue-title">
      <h2 id="overdue-title">{t("sharing.overdue")}</h2>
      {!data ? <p role="status">{failure ? sentence(failure, page.format) : t("sharing.reading")}</p> : data.length === 0 ? <p class="definition">{t("sharing.overdueNone")}</p> : <Rows list={data} page={page} />}
    </section>
  );
}

function Rows({ list, page, open }: { list: (Overdue | Request)[]; page: Page; open?: (id: string) => void }) {
  const { format, department } = page;
  const t = format.t;
  return (
    <div class="scroll" tabIndex={0} role="region" aria-label={t("sharing.requests")}>
      <table>
        <thead><tr>{(["request", "item", "clock", "state", "from", "owner"] as const).map((k) => <th key={k} scope="col">{t(({ request: "sharing.request", item: "sharing.item", from: "sharing.from", owner: "sharing.owner", state: "sharing.state", clock: "sharing.clock" } as const)[k])}</th>)}</tr></thead>
        <tbody>
          {list.map((q) => (
            <tr key={q.id}>
              <th scope="row">{open ? <button type="button" class="link" onClick={() => open(q.id)}>{q.id}</button> : q.id}</th>
              <td><code>{q.dataset}</code><small>{word(format, "type", q.type)}</small></td><td><ClockText clock={q.clock} page={page} /></td>
              <td>{word(format, "state", q.state)}</td><td>{department(q.from)}</td><td>{department(q.owner)}</td>
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}

function Mine({ page, beat, look, expire }: { page: Page; beat: number; look: () => void; expire: () => void }) {
  const { place, choose, format } = page;
  const t = format.t;
  const [asking, ask] = useState(false);
  const desk = useRemote<Desk>("/api/v1/officers/desk", "");
  const catalogue = useRemote<Catalogue>("/api/v1/catalogue", "");
  const list = useRemote<{ total: number; items: Request[] }>(`/api/v1/requests?limit=200${place.state ? `&state=${encodeURIComponent(place.state)}` : ""}`, String(beat));
  const failure = list.failure ?? desk.failure;
  if (failure?.code === "signed_out") queueMicrotask(expire);
  if (!list.data || !desk.data || !catalogue.data) return failure ? <ReadFailed title={t("sharing.failed")} failure={failure} retry={look} format={format} /> : <p role="status">{t("sharing.reading")}</p>;
  if (place.request) return <One key={place.request} id={place.request} page={page} desk={desk.data} catalogue={catalogue.data} beat={beat} look={look} expire={expire} />;
  return (
    <section class="panel" aria-labelledby="mine-title">
      <div class="panel-head">
        <h2 id="mine-title">{t("sharing.mine")}</h2>
        <label class="field"><span>{t("sharing.state")}</span>
          <select value={place.state ?? ""} onChange={(e) => choose({ state: e.currentTarget.value })}>{states.map((s) => <option key={s} value={s}>{s ? word(format, "state", s) : t("sharing.all")}</option>)}</select>
        </label>
        <button type="button" class="quiet bordered" aria-expanded={asking} onClick={() => ask(!asking)}>{t("sharing.new")}</button>
      </div>
      {asking && <Submit page={page} desk={desk.data} catalogue={catalogue.data} expire={expire} done={(id) => { ask(false); look(); choose({ request: id }); }} />}
      {list.data.items.length === 0 ? <p class="definition">{t("sharing.mineNone")}</p> : <Rows list={list.data.items} page={page} open={(request) => choose({ request })} />}
    </section>
  );
}

/** Sends an act; what the portal says against it stays on the screen. */
function useAct(page: Page, expire: () => void) {
  const [wrong, setWrong] = useState("");
  const [busy, setBusy] = useState(false);
  const send = async (url: string, body: unknown, done: (q: Request) => void) => {
    if (busy) return;
    setBusy(true);
    setWrong("");
    try {
      done(await change<Request>(door, "POST", url, body));
    } catch (error) {
      if (error instanceof Failure && error.code === "signed_out") expire();
      setWrong(error instanceof Failure ? sentence(error, page.format) : String(error));
    }
    setBusy(false);
  };
  return { wrong, busy, send };
}

function Submit({ page, desk, catalogue, expire, done }: { page: Page; desk: Desk; catalogue: Catalogue; expire: () => void; done: (id: string) => void }) {
  const t = page.format.t;
  const { wrong, busy, send } = useAct(page, expire);
  const [terms, set] = useState<Terms | null>(null);
  const [reason, setReason] = useState("");
  return (
    <form class="deed" onSubmit={(e) => { e.preventDefault(); if (terms) void send("/api/v1/requests", { terms, reason }, (q) => done(q.id)); }}>
      <TermsForm page={page} desk={desk} items={catalogue.items.filter((i) => i.department !== desk.department && i.sharing !== "none")} start={null} change={set} />
      <label class="stacked"><span>{t("sharing.reason")}</span><textarea value={reason} maxLength={2000} onInput={(e) => setReason(e.currentTarget.value)} /></label>
      {wrong && <p class="wrong" role="alert">{wrong}</p>}
      <button type="submit" class="primary" aria-disabled={busy}>{t("sharing.send")}</button>
    </form>
  );
}

function One({ id, page, desk, catalogue, beat, look, expire }: { id: string; page: Page; desk: Desk; catalogue: Catalogue; beat: number; look: () => void; expire: () => void }) {
  const { choose, format, department } = page;
  const t = format.t;
  const { data, failure } = useRemote<{ request: Request; acts: Act[] }>(`/api/v1/requests/${encodeURIComponent(id)}`, String(beat));
  const { wrong, busy, send } = useAct(page, expire);
  const [act, setAct] = useState("");
  const [reason, setReason] = useState("");
  const [ground, setGround] = useState("");
  const [terms, setTerms] = useState<Terms | null>(null);
  const back = <button type="button" class="quiet bordered" onClick={() => choose({ request: "" })}>{t("sharing.back")}</button>;
  if (!data) return <>{back}{failure ? <ReadFailed title={t("sharing.failed")} failure={failure} retry={look} format={format} /> : <p role="status">{t("sharing.reading")}</p>}</>;
  const q = data.request;
  const chosen = q.may.includes(act) ? act : "";
  const withTerms = chosen === "approve" || chosen === "resubmit";
  const submit = (e: Event) => {
    e.preventDefault();
    if (!chosen) return;
    void send(`/api/v1/requests/${encodeURIComponent(id)}/acts`, { act: chosen, ...(withTerms ? { terms: terms ?? q.terms } : {}), ...(reason ? { reason } : {}), ...(chosen === "refuse" && ground ? { ground } : {}) }, () => {
      setAct(""); setReason(""); setGround(""); setTerms(null); look();
    });
  };
  return (
    <>
      <p>{back}</p>
      <section class="panel">
        <h2>{q.id} · {word(format, "state", q.state)}</h2>
        <dl class="facts">
          <div><dt>{t("sharing.item")}</dt><dd><code>{q.dataset}</code> {word(format, "type", q.type)}</dd></div>
          <div><dt>{t("sharing.from")}</dt><dd>{department(q.from)}</dd></div>
          <div><dt>{t("sharing.owner")}</dt><dd>{department(q.owner)}</dd></div>
          <div><dt>{t("sharing.clock")}</dt><dd><ClockText clock={q.clock} page={page} /></dd></div>
          <div><dt>{t("sharing.purpose")}</dt><dd>{purpose(desk, q.terms.purpose, page)}</dd></div>
          <div><dt>{t("sharing.fields")}</dt><dd>{Object.entries(q.terms.fields).map(([name, mask]) => `${name} (${word(format, "mask", mask)})`).join(" · ")}</dd></div>
          <div><dt>{t("sharing.until")}</dt><dd>{q.terms.until.slice(0, 10)}</dd></div>
          {q.ground && <div><dt>{t("sharing.ground")}</dt><dd>{q.ground}</dd></div>}
        </dl>
        {q.may.length === 0 ? <p class="definition">{t("sharing.nothing")}</p> : (
          <form class="deed" onSubmit={submit}>
            <label class="stacked"><span>{t("sharing.act")}</span>
              <select value={chosen} required onChange={(e) => { setAct(e.currentTarget.value); setTerms(null); }}><option value="">{t("sharing.choose")}</option>{q.may.map((a) => <option key={a} value={a}>{word(format, "act", a)}</option>)}</select>
            </label>
            {withTerms && <TermsForm key={chosen} page={page} desk={desk} items={catalogue.items.filter((i) => i.dataset === q.dataset)} start={q.terms} change={setTerms} />}
            {chosen && <label class="stacked"><span>{t("sharing.reason")}</span><textarea value={reason} maxLength={2000} required={["give_back", "refuse", "suspend", "revoke"].includes(chosen)} onInput={(e) => setReason(e.currentTarget.value)} /></label>}
            {chosen === "refuse" && <label class="stacked"><span>{t("sharing.ground")}</span><input value={ground} maxLength={2000} required onInput={(e) => setGround(e.currentTarget.value)} /></label>}
            {wrong && <p class="wrong" role="alert">{wrong}</p>}
            <button type="submit" class="primary" aria-disabled={busy}>{t("sharing.do")}</button>
          </form>
        )}
      </section>
      <section class="panel" aria-labelledby="history-title">
        <h2 id="history-title">{t("sharing.history")}</h2>
        <ol class="history">
          {data.acts.map((a) => <li key={a.number}><b>{word(format, "act", a.act)}</b> <time dateTime={a.at}>{format.time(new Date(a.at))}</time> {department(a.department)} · {a.by}{a.reason && <p>{a.reason}</p>}{a.ground && <p>{t("sharing.ground")}: {a.ground}</p>}</li>)}
        </ol>
      </section>
    </>
  );
}

export function purpose(desk: Desk, code: string, { format }: Page): string {
  const label = desk.purposes.find((p) => p.key === code);
  return label ? format.text(label) : code;
}
