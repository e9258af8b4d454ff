import { useState } from "preact/hooks";
import { change, Failure, type Door, type Labels } from "../api";
import { ReadFailed, sentence } from "../parts/states";
import { SignIn } from "../parts/signin";
import { useRemote } from "../remote";
import { useSession } from "../session";
import { Shell, usePage, word, type Page } from "./shell";

const door: Door = { session: "/api/v1/supervision/session", header: "X-Shire-Supervision" };
const perPage = 50;
const decisions = ["granted", "refused", "used", "declined", "stopped", "lifted"];
const nobody = "00000000-0000-0000-0000-000000000000";

interface Access { sequence: number; at: string; caller: string; clerk: string; purpose: string; item: string; case: string; department: string; person: string; fields: string[]; decision: string; reason: string }
interface Found { items: Access[]; more: boolean; offset: number; query: Record<string, unknown> }

/** Who looked at whose records. What is looked for stands in no address: it would stay in the browser's history. */
export function SupervisionApp() {
  const page = usePage();
  const who = useSession(door);
  const t = page.format.t;
  return (
    <Shell page={page} title="supervision" who={who}>
      {who.state === "in" ? <Search page={page} expire={who.expire} /> : who.state === "out" ? (
        <SignIn door={door} what={t("sharing.superviseWhat")} ended={who.ended ? t("sharing.ended") : ""} how={t("sharing.how")} command="shire audit supervisors add NAME" enter={who.enter} format={page.format} />
      ) : who.failure && <ReadFailed title={t("sharing.failed")} failure={who.failure} retry={who.retry} format={page.format} />}
    </Shell>
  );
}

function Search({ page, expire }: { page: Page; expire: () => void }) {
  const { format } = page;
  const t = format.t;
  const labels = useRemote<Labels>("/api/v1/labels", "").data;
  const [form, set] = useState<Record<string, string>>({});
  const [wrong, setWrong] = useState("");
  const [busy, setBusy] = useState(false);
  const [found, show] = useState<Found | null>(null);
  const write = (name: string) => (e: { currentTarget: { value: string } }) => {
    const value = e.currentTarget.value.trim();
    set((old) => ({ ...old, [name]: value }));
  };
  const look = async (query: Record<string, unknown>, offset: number) => {
    if (busy) return;
    setBusy(true);
    setWrong("");
    try {
      show({ ...(await change<{ items: Access[]; more: boolean }>(door, "POST", "/api/v1/supervision/accesses", { ...query, limit: perPage, offset })), offset, query });
    } catch (error) {
      if (error instanceof Failure && error.code === "signed_out") expire();
      setWrong(error instanceof Failure ? sentence(error, format) : String(error));
    }
    setBusy(false);
  };
  const submit = (e: Event) => {
    e.preventDefault();
    const query: Record<string, unknown> = {};
    for (const name of ["person", "caller", "department", "case", "decision"]) if (form[name]) query[name] = form[name];
    for (const name of ["from", "until"]) if (form[name]) query[name] = new Date(form[name]).toISOString();
    void look(query, 0);
  };
  return (
    <>
      <form class="panel search" autocomplete="off" onSubmit={submit}>
        <div class="terms">
          <label class="stacked"><span>{t("sharing.person")}</span><input name="person" maxLength={36} spellcheck={false} onInput={write("person")} /></label>
          <label class="stacked"><span>{t("sharing.case")}</span><input name="case" maxLength={100} spellcheck={false} onInput={write("case")} /></label>
          <label class="stacked"><span>{t("sharing.caller")}</span><input name="caller" maxLength={100} spellcheck={false} onInput={write("caller")} /></label>
          <label class="stacked"><span>{t("sharing.handledBy")}</span>
            <select name="department" onChange={write("department")}><option value="">{t("sharing.all")}</option>{(labels?.departments ?? []).map((d) => <option key={d.key} value={d.key}>{format.text(d)}</option>)}</select>
          </label>
          <label class="stacked"><span>{t("sharing.decision")}</span>
            <select name="decision" onChange={write("decision")}><option value="">{t("sharing.all")}</option>{decisions.map((d) => <option key={d} value={d}>{word(format, "decision", d)}</option>)}</select>
          </label>
          <label class="stacked"><span>{t("sharing.begin")}</span><input name="from" type="datetime-local" onInput={write("from")} /></label>
          <label class="stacked"><span>{t("sharing.until")}</span><input name="until" type="datetime-local" onInput={write("until")} /></label>
        </div>
        {wrong && <p class="wrong" role="alert">{wrong}</p>}
        <button type="submit" class="primary" aria-disabled={busy}>{t("sharing.find")}</button>
      </form>
      {found && (
        <section class="panel" aria-live="polite">
          {found.items.length === 0 ? <p>{t("sharing.accessNone")}</p> : <Accesses list={found.items} page={page} />}
          {(found.offset > 0 || found.more) && (
            <p class="pages">
              {found.offset > 0 && <button type="button" class="quiet bordered" onClick={() => void look(found.query, 0)}>{t("sharing.first")}</button>}
              {found.more && <button type="button" class="quiet bordered" onClick={() => void look(found.query, found.offset + perPage)}>{t("sharing.more")}</button>}
            </p>
          )}
        </section>
      )}
    </>
  );
}

function Accesses({ list, page: { format, department } }: { list: Access[]; page: Page }) {
  const t = format.t;
  return (
    <div class="scroll" tabIndex={0} role="region" aria-label={t("sharing.supervision")}>
      <table class="accesses">
        <thead><tr><th scope="col">{t("sharing.time")}</th><th scope="col">{t("sharing.decision")}</th><th scope="col">{t("sharing.caller")}</th><th scope="col">{t("sharing.case")}</th><th scope="col">{t("sharing.person")}</th><th scope="col">{t("sharing.fields")}</th></tr></thead>
        <tbody>
          {list.map((a) => (
            <tr key={`${a.sequence}/${a.person}`} data-decision={a.decision}>
              <th scope="row">{format.time(new Date(a.at))}</th>
              <td class={a.decision === "refused" || a.decision === "stopped" ? "bad" : ""}>{word(format, "decision", a.decision)}{a.reason && a.reason !== "allowed" && <small>{word(format, "why", a.reason)}</small>}</td>
              <td>{a.caller}<small>{t("sharing.clerk")} <code title={a.clerk}>{a.clerk.slice(0, 8)}</code></small><small>{a.purpose}</small></td>
              <td>{a.case || "–"}{a.department && <small>{department(a.department)}</small>}</td>
              <td>{a.person === nobody ? "–" : <code title={a.person}>{a.person.slice(0, 8)}</code>}</td>
              <td class="fields">{a.fields.join(", ") || "–"}</td>
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}
