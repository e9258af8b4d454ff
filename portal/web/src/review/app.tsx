import { useCallback, useEffect, useMemo, useState } from "preact/hooks";
import type { County } from "../api";
import { useAppearance } from "../appearance";
import { preferred, translator } from "../catalogue";
import { Format } from "../logic/format";
import { Preferences } from "../parts/header";
import { ReadFailed } from "../parts/states";
import { SignIn } from "../parts/signin";
import { useRemote } from "../remote";
import { useSession, type SignedIn } from "../session";
import { abouts, door } from "./api";
import { Desk } from "./desk";
import { KeyHelp, rememberSingleKeys, singleKeys } from "./keyhelp";
import { format as formatState, parse, type ReviewState } from "./state";
import type { Draft } from "./verdict";

/** The page where people decide who is one and who is two. */
export function ReviewApp() {
  const [view, choose] = useReviewState();
  useAppearance(view.theme, "page");
  const language = view.lang ?? preferred(navigator.languages);
  const county = useRemote<County>("/api/v1/county", "").data; // its name; the review works without
  const zone = county?.time_zone ?? "Asia/Shanghai";
  const format = useMemo(() => new Format(language, translator(language), zone), [language, zone]);
  const t = format.t;
  const name = county ? (language === "en" ? county.name_en || county.name_zh : county.name_zh) : "shire";
  useEffect(() => {
    document.documentElement.lang = language;
    document.title = `${name} · ${t("review.title")}`;
  }, [language, name, t]);

  const who = useSession(door);
  const [helping, help] = useState(false);
  const [single, setSingle] = useState(singleKeys);
  const [draft, setDraft] = useState<Draft | null>(null);
  const session = who.session;
  // A reason that somebody wrote outlives the end of a session, but is no other reviewer's to see.
  useEffect(() => {
    if (session && draft && draft.by !== session.name) setDraft(null);
  }, [session, draft]);
  const leave = () => {
    setDraft(null);
    who.leave();
  };

  return (
    <div class="plain review">
      <a class="skip" href="#main">{t("review.skip")}</a>
      <header class="masthead">
        <div class="title">
          <h1>{name}<span class="title-what">{t("review.title")}</span></h1>
          <p>{t("review.subtitle")}</p>
        </div>
        <div class="tools">
          {session && (
            <>
              <span class="who">{t("review.signedIn", { name: session.name })}</span>
              <button type="button" class="quiet" onClick={leave}>{t("review.signOut")}</button>
              <button type="button" class="quiet" onClick={() => help(true)}>{t("keys.title")} <kbd aria-hidden="true">?</kbd></button>
            </>
          )}
          <a class="quiet" href={`/${formatState({ ...view, about: "person", a: "", b: "" })}`}>{t("review.overview")}</a>
          <Preferences theme={view.theme} choose={choose} format={format} />
        </div>
      </header>
      {session && (
        <div class="segments abouts" role="group" aria-label={t("review.about")}>
          {abouts.map((about) => <button key={about} type="button" aria-pressed={view.about === about} onClick={() => choose({ about, a: "", b: "" })}>{t(`review.about.${about}`)}</button>)}
        </div>
      )}
      <main id="main" tabIndex={-1}>
        {session ? (
          <Desk key={view.about} view={view} choose={choose} session={session} expire={who.expire} draft={draft} setDraft={setDraft} single={single} help={() => help(true)} format={format} />
        ) : (
          <Door who={who} format={format} />
        )}
      </main>
      {helping && (
        <KeyHelp
          close={() => help(false)}
          single={single}
          setSingle={(on) => {
            setSingle(on);
            rememberSingleKeys(on);
          }}
          format={format}
        />
      )}
    </div>
  );
}

/** What stands there for whoever has not signed in. */
function Door({ who, format }: { who: SignedIn; format: Format }) {
  const t = format.t;
  switch (who.state) {
    case "out":
      return <SignIn door={door} what={t("signin.what")} ended={who.ended ? t("signin.ended") : ""} how={t("signin.how")} command="shire identity reviewers add NAME" enter={who.enter} format={format} />;
    case "off":
      return <section class="message"><h2>{t("review.off")}</h2><p>{t("review.offWhat")}</p></section>;
    case "failed":
      return <ReadFailed title={t("load.failed")} failure={who.failure!} retry={who.retry} format={format} />;
    default:
      return <p class="visually-hidden" role="status">{t("review.reading")}</p>;
  }
}

/** The choices in the address. Back and forward go through them. */
function useReviewState(): [ReviewState, (change: Partial<ReviewState>) => void] {
  const [view, set] = useState(() => parse(location.search));
  useEffect(() => {
    const onPop = () => set(parse(location.search));
    addEventListener("popstate", onPop);
    return () => removeEventListener("popstate", onPop);
  }, []);
  const choose = useCallback((change: Partial<ReviewState>) => {
    const next = { ...parse(location.search), ...change };
    history.pushState(null, "", location.pathname + formatState(next));
    set(next);
  }, []);
  return [view, choose];
}
