import { useState } from "preact/hooks";
import { change, Failure, type Door } from "../api";
import { ReadFailed, sentence } from "../parts/states";
import { SignIn } from "../parts/signin";
import { useSession } from "../session";
import { Shell, usePage, type Page } from "./shell";

const door: Door = { session: "/api/v1/supervision/session", header: "X-Shire-Supervision" };
const perPage = 50;

interface Access { sequence: number; at: string; caller: string; clerk: string; purpose: string; item: string; case: string; department: string; person: string; fields: string[]; decision: string; reason: string }

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

function Search({ page: { format, department }, expire }: { page: Page; expire: () => void }) {
  const t = format.t;
  const [form, set] = useState<Record<string, string>>({});
  const [wrong, setWrong] = useState("");
  const [found, show] = useState<{ items: Access[]; more: boolean; offset: number } | null>(null);
  const write = (name: string) => (e: { currentTarget: { value: string } }) => set({ ...form, [name]: e.currentTarget.value.trim() });
  const look = async (offset: number) => {
    setWrong("");
    const query: Record<string, unknown> = { limit: perPage, offset };
    for (const name of ["person", "caller", "department", "case", "decision"]) if (form[name]) query[name] = form[name];
    for (const name of ["from", "until"]) if (form[name]) query[name] = new Date(form[name]).toISOString();
    try {
      show({ ...(await change<{ items: Access[]; more: boolean }>(door, "POST", "/api/v1/supervision/accesses", query)), offset });
    } catch (error) {
      if (error instanceof Failure && error.code === "signed_out") expire();
      setWrong(error instanceof Failure ? sentence(error, format) : String(error));
    }
  };
  return (
    <>
      <form class="panel terms" autocomplete="off" onSubmit={(e) => { e.preventDefault(); void look(0); }}>
        <label class="stacked"><span>{t("sharing.person")}</span><input maxLength={36} onInput={write("person")} /></label>
        <label class="stacked"><span>{t("sharing.caller")}</span><input maxLength={100} onInput={write("caller")} /></label>
        <label class="stacked"><span>{t("sharing.department")}</span><input maxLength={100} onInput={write("department")} /></label>
        <label class="stacked"><span>{t("sharing.case")}</span><input maxLength={100} onInput={write("case")} /></label>
        <label class="stacked"><span>{t("sharing.decision")}</span><select onChange={write("decision")}><option value="">{t("sharing.all")}</option><option value="granted">{t("sharing.granted")}</option><option value="refused">{t("sharing.refused")}</option></select></label>
        <label class="stacked"><span>{t("sharing.begin")}</span><input type="datetime-local" onInput={write("from")} /></label>
        <label class="stacked"><span>{t("sharing.until")}</span><input type="datetime-local" onInput={write("until")} /></label>
        <button type="submit" class="primary">{t("sharing.find")}</button>
        {wrong && <p class="wrong" role="alert">{wrong}</p>}
      </form>
      {found && (
        <section class="panel" aria-live="polite">
          {found.items.length === 0 ? <p>{t("sharing.accessNone")}</p> : (
            <div class="scroll" tabIndex={0} role="region" aria-label={t("sharing.supervision")}>
              <table>
                <thead><tr><th scope="col">{t("sharing.time")}</th><th scope="col">{t("sharing.caller")}</th><th scope="col">{t("sharing.clerk")}</th><th scope="col">{t("sharing.purpose")}</th><th scope="col">{t("sharing.case")}</th><th scope="col">{t("sharing.person")}</th><th scope="col">{t("sharing.fields")}</th><th scope="col">{t("sharing.decision")}</th></tr></thead>
                <tbody>
                  {found.items.map((a) => (
                    <tr key={a.sequence}><th scope="row">{format.time(new Date(a.at))}</th><td>{a.caller}</td><td><code title={a.clerk}>{a.clerk.slice(0, 8)}</code></td><td>{a.purpose}</td><td>{a.case}<small>{a.department && department(a.department)}</small></td><td><code title={a.person}>{a.person.slice(0, 8)}</code></td><td>{a.fields.join(" ")}</td><td class={a.decision === "refused" ? "bad" : ""}>{a.decision === "refused" ? t("sharing.refused") : a.decision === "granted" ? t("sharing.granted") : a.decision}<small>{a.reason}</small></td></tr>
                  ))}
                </tbody>
              </table>
            </div>
          )}
          <p>{found.offset > 0 && <button type="button" class="quiet bordered" onClick={() => void look(0)}>{t("sharing.first")}</button>} {found.more && <button type="button" class="quiet bordered" onClick={() => void look(found.offset + perPage)}>{t("sharing.more")}</button>}</p>
        </section>
      )}
    </>
  );
}
