import { useEffect, useRef, useState } from "preact/hooks";
import { change, Failure, type Door, type Text } from "../api";
import { isKey } from "../catalogue";
import { ReadFailed, sentence } from "../parts/states";
import { SignIn } from "../parts/signin";
import { useCounter, useRemote } from "../remote";
import { useSession } from "../session";
import { masked } from "./mask";
import { Shell, usePage, word, type Page } from "./shell";

const door: Door = { session: "/api/v1/window/session", header: "X-Shire-Window" };

interface Label { key: string; zh: string; en: string }
interface ServiceItem extends Label { materials: string[]; sometimes: string[] }
interface Clerk { department: string; purpose: Label; items: ServiceItem[]; materials: Label[]; departments: Label[]; reasons: string[] }

interface Proof { department: string; dataset: string; source_time: string | null; received_at: string; issued: string | null; valid_until?: string; hash: string }
interface Turn { act: "use" | "decline"; at: string; reason?: string }
interface Material { code: string; met: boolean; proof?: Proof; reason?: string; grant?: string; could?: string[]; taken?: Turn }
interface Source { dataset: string; title: Text; department: string; update_cycle: string; late: boolean; measured: { last_load: string | null; quarantined_share: number | null } | null }
interface Prefill { id: string; materials: Material[]; sources: Source[]; recorded: { at: string; caller: string; fields: string[] } }

/** A question that was answered. The applicant's number is kept masked alone. */
interface Look { item: string; case: string; applicant: string; prefill: Prefill }

interface Desk { page: Page; clerk: Clerk; expire: () => void }

/** What the applicant at the window need not hand in. Neither case nor number stands in the address. */
export function WindowApp() {
  const page = usePage();
  const who = useSession(door);
  const t = page.format.t;
  return (
    <Shell page={page} title="window" who={who}>
      {who.state === "in" ? <AtTheDesk page={page} expire={who.expire} /> : who.state === "out" ? (
        <SignIn door={door} what={t("window.signinWhat")} ended={who.ended ? t("sharing.ended") : ""} how={t("sharing.how")} command="shire sharing clerks add NAME --department CODE" enter={who.enter} format={page.format} />
      ) : who.failure && <ReadFailed title={t("sharing.failed")} failure={who.failure} retry={who.retry} format={page.format} />}
    </Shell>
  );
}

function AtTheDesk({ page, expire }: { page: Page; expire: () => void }) {
  const [tries, retry] = useCounter();
  const { data, failure } = useRemote<Clerk>("/api/v1/window/desk", String(tries));
  const [look, show] = useState<Look | null>(null);
  useEffect(() => {
    if (failure?.code === "signed_out") expire();
  }, [failure, expire]);
  if (!data) return failure ? <ReadFailed title={page.format.t("sharing.failed")} failure={failure} retry={retry} format={page.format} /> : <p role="status">{page.format.t("sharing.reading")}</p>;
  const desk: Desk = { page, clerk: data, expire };
  return (
    <>
      <Question desk={desk} show={show} />
      {look && <Answer key={look.prefill.recorded.at} desk={desk} look={look} />}
    </>
  );
}

const named = (list: Label[], code: string, { format }: Page): string => {
  const label = list.find((l) => l.key === code);
  return label ? format.text(label) : code;
};

function Question({ desk: { page, clerk, expire }, show }: { desk: Desk; show: (look: Look | null) => void }) {
  const { format, place, choose } = page;
  const t = format.t;
  const [also, setAlso] = useState<string[]>([]);
  const [wrong, setWrong] = useState("");
  const [busy, setBusy] = useState(false);
  const number = useRef<HTMLInputElement>(null);
  const file = useRef<HTMLInputElement>(null);
  const item = clerk.items.find((i) => i.key === place.item);
  if (clerk.items.length === 0) return <section class="message"><p>{t("window.noItems")}</p></section>;
  const submit = async (e: Event) => {
    e.preventDefault();
    if (!item || busy) return;
    setBusy(true);
    setWrong("");
    show(null); // what was shown is of somebody else
    const question = { item: item.key, case: file.current!.value.trim(), number: number.current!.value.trim() };
    const more = item.sometimes.filter((code) => also.includes(code));
    try {
      const prefill = await change<Prefill>(door, "POST", "/api/v1/window/prefill", { ...question, ...(more.length ? { materials: [...item.materials, ...more] } : {}) });
      show({ item: item.key, case: question.case, applicant: masked(question.number), prefill });
      number.current!.value = "";
    } catch (error) {
      if (error instanceof Failure && error.code === "signed_out") expire();
      setWrong(error instanceof Failure ? sentence(error, format) : String(error));
    }
    setBusy(false);
  };
  return (
    <form class="panel question" autocomplete="off" onSubmit={submit}>
      <p class="whose"><b>{page.department(clerk.department) === clerk.department ? named(clerk.departments, clerk.department, page) : page.department(clerk.department)}</b> · {t("window.purpose", { name: format.text(clerk.purpose) })}</p>
      <div class="terms">
        <label class="stacked"><span>{t("window.item")}</span>
          <select name="item" required value={item?.key ?? ""} onChange={(e) => { setAlso([]); choose({ item: e.currentTarget.value }, true); }}>
            <option value="">{t("window.itemChoose")}</option>
            {clerk.items.map((i) => <option key={i.key} value={i.key}>{i.en === i.key ? i.zh : format.text(i)} · {i.key}</option>)}
          </select>
        </label>
        <label class="stacked"><span>{t("window.case")}</span><input ref={file} name="case" required maxLength={100} autocapitalize="off" spellcheck={false} /></label>
        <label class="stacked"><span>{t("window.number")}</span><input ref={number} name="number" required maxLength={24} inputMode="text" autocapitalize="characters" spellcheck={false} /></label>
        {item && item.sometimes.length > 0 && (
          <fieldset class="also"><legend>{t("window.also")}</legend>
            {item.sometimes.map((code) => (
              <label key={code}><input type="checkbox" name={code} checked={also.includes(code)} onChange={(e) => setAlso(e.currentTarget.checked ? [...also, code] : also.filter((c) => c !== code))} /> {named(clerk.materials, code, page)}</label>
            ))}
          </fieldset>
        )}
      </div>
      <p class="definition">{t("window.recordedFirst")}</p>
      {wrong && <p class="wrong" role="alert">{wrong}</p>}
      <button type="submit" class="primary" aria-disabled={busy}>{t(busy ? "window.looking" : "window.look")}</button>
    </form>
  );
}

function Answer({ desk, look }: { desk: Desk; look: Look }) {
  const { format } = desk.page;
  const t = format.t;
  const { materials, recorded } = look.prefill;
  const title = useRef<HTMLHeadingElement>(null);
  useEffect(() => title.current?.focus(), []);
  return (
    <section class="panel answer" aria-labelledby="answer-title">
      <h2 id="answer-title" ref={title} tabIndex={-1}>{t("window.result", { case: look.case })} · {t("window.applicant", { number: look.applicant })}</h2>
      <p>{t("window.sum", { met: materials.filter((m) => m.met).length, n: materials.length })}</p>
      <ul class="materials">
        {materials.map((m) => <Paper key={m.code} desk={desk} look={look} material={m} />)}
      </ul>
      <div class="recorded">
        <h3>{t("window.record")}</h3>
        <p>{t("window.recordIs", { time: format.time(new Date(recorded.at)), caller: recorded.caller, purpose: format.text(desk.clerk.purpose) })}</p>
        <p>{recorded.fields.length ? t("window.recordFields", { fields: recorded.fields.join(" ") }) : t("window.recordNone")}</p>
      </div>
    </section>
  );
}

function Paper({ desk, look, material: m }: { desk: Desk; look: Look; material: Material }) {
  const { page, clerk, expire } = desk;
  const t = page.format.t;
  const [turn, setTurn] = useState<Turn | null>(m.taken ?? null);
  const [wrong, setWrong] = useState("");
  const [busy, setBusy] = useState(false);
  const reason = useRef<HTMLSelectElement>(null);
  const act = async (does: "use" | "decline", why = "") => {
    if (busy) return;
    setBusy(true);
    setWrong("");
    try {
      await change(door, "POST", "/api/v1/window/acts", { item: look.item, case: look.case, prefill: look.prefill.id, material: m.code, act: does, ...(why ? { reason: why } : {}) });
      setTurn({ act: does, at: does === "use" && turn?.act === "use" ? turn.at : new Date().toISOString(), reason: why }); // a use stays the first
    } catch (error) {
      if (error instanceof Failure && error.code === "signed_out") expire();
      setWrong(error instanceof Failure ? sentence(error, page.format) : String(error));
    }
    setBusy(false);
  };
  const kind = m.met ? "met" : m.reason === "conflicting" ? "conflict" : "ask";
  return (
    <li class="paper" data-material={m.code} data-state={kind}>
      <h3>{named(clerk.materials, m.code, page)} <span class={`badge paper-${kind}`}>{t(({ met: "window.met", conflict: "window.conflict", ask: "window.ask" } as const)[kind])}</span></h3>
      {m.proof ? <ProofFacts page={page} proof={m.proof} source={look.prefill.sources.find((s) => s.dataset === m.proof!.dataset)} /> : <Why page={page} material={m} sources={look.prefill.sources} />}
      {turn && <p class="turn" role="status">{turn.act === "use" ? t("window.used", { time: page.format.time(new Date(turn.at)) }) : t("window.declined", { time: page.format.time(new Date(turn.at)), reason: code(page, "reason", turn.reason ?? "") })}</p>}
      {m.met && (
        <form class="acts" onSubmit={(e) => { e.preventDefault(); void act("decline", reason.current!.value); }}>
          <button type="button" class={turn?.act === "use" ? "quiet bordered" : "primary"} data-act="use" aria-disabled={busy} onClick={() => void act("use")}>{t("window.use")}</button>
          <span class="declining">
            <select ref={reason} required aria-label={t("window.declineWhy")}><option value="">{t("window.choose")}</option>{clerk.reasons.map((r) => <option key={r} value={r}>{code(page, "reason", r)}</option>)}</select>
            <button type="submit" class="quiet bordered" data-act="decline" aria-disabled={busy}>{t("window.decline")}</button>
          </span>
        </form>
      )}
      {wrong && <p class="wrong" role="alert">{wrong}</p>}
    </li>
  );
}

/** A code of the node in the reader's language; as it is where the catalogue does not know it. */
function code({ format }: Page, family: "why" | "grant" | "reason", value: string): string {
  const key = { why: `window.why.${value}`, grant: `window.grant.${value}`, reason: `window.reason.${value}` }[family];
  return isKey(key) ? format.t(key) : value;
}

function ProofFacts({ page, proof, source }: { page: Page; proof: Proof; source: Source | undefined }) {
  const { format, department } = page;
  const t = format.t;
  const at = (time: string | null | undefined, none: string) => (time ? format.time(new Date(time)) : none);
  const measured = source?.measured;
  return (
    <>
      <dl class="facts">
        <div><dt>{t("window.source")}</dt><dd>{department(proof.department)}<small>{source ? format.text(source.title) : proof.dataset}</small></dd></div>
        <div><dt>{t("window.received")}</dt><dd>{at(proof.source_time ?? proof.received_at, "")}</dd></div>
        <div><dt>{t("window.issued")}</dt><dd>{proof.issued ? proof.issued.slice(0, 10) : t("window.notCovered")}</dd></div>
        <div><dt>{t("window.valid")}</dt><dd>{proof.valid_until || t("window.noEnd")}</dd></div>
        <div><dt>{t("window.quality")}</dt><dd>{measured && measured.quarantined_share !== null ? t("window.qualityIs", { share: format.value(measured.quarantined_share, "share"), time: at(measured.last_load, t("sharing.never")) }) : t("window.qualityUnknown")}</dd></div>
        <div><dt>{t("window.proof")}</dt><dd><code>{proof.hash}</code></dd></div>
      </dl>
      {source?.late && measured?.last_load && <p class="caution">{t("window.late", { every: word(format, "every", source.update_cycle).toLowerCase(), time: at(measured.last_load, "") })}</p>}
    </>
  );
}

function Why({ page, material: m, sources }: { page: Page; material: Material; sources: Source[] }) {
  const { format, department } = page;
  const t = format.t;
  if (m.reason !== "not_granted") return <p>{code(page, "why", m.reason ?? "")}</p>;
  const could = (m.could ?? []).map((name) => sources.find((s) => s.dataset === name)).filter((s) => s !== undefined);
  if (could.length === 0) return <p>{t("window.why.nobody")}</p>;
  return <p>{code(page, "grant", m.grant ?? "")} {t("window.could", { sources: could.map((s) => `${department(s.department)} · ${format.text(s.title)}`).join(format.language === "en" ? ", " : "、") })} <a href={`/sharing?lang=${format.language}`}>{t("window.toRequests")}</a></p>;
}
