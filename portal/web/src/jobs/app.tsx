import { useCallback, useEffect, useMemo, useState } from "preact/hooks";
import type { County } from "../api";
import { useAppearance } from "../appearance";
import { preferred, translator } from "../catalogue";
import { Format } from "../logic/format";
import { start as startOverview, format as formatOverview } from "../logic/state";
import { Preferences } from "../parts/header";
import { useRemote } from "../remote";
import { useSession } from "../session";
import { door } from "./api";
import { JobPage } from "./job";
import { ListPage } from "./list";
import { format as formatState, parse, type JobsState } from "./state";

/** The page of the jobs: when they ran, when they run next, and what operators do with them. */
export function JobsApp() {
  const [view, choose] = useJobsState();
  useAppearance(view.theme, "page");
  const language = view.lang ?? preferred(navigator.languages);
  const county = useRemote<County>("/api/v1/county", "").data; // its name and its clock; the page works without
  const zone = county?.time_zone ?? "Asia/Shanghai";
  const format = useMemo(() => new Format(language, translator(language), zone), [language, zone]);
  const t = format.t;
  const name = county ? (language === "en" ? county.name_en || county.name_zh : county.name_zh) : "shire";
  useEffect(() => {
    document.documentElement.lang = language;
    document.title = [view.job, `${name} · ${t("jobs.title")}`].filter(Boolean).join(" · ");
  }, [language, name, view.job, t]);
  const who = useSession(door);

  return (
    <div class="plain jobs">
      <a class="skip" href="#main">{t("jobs.skip")}</a>
      <header class="masthead">
        <div class="title">
          <h1>{name}<span class="title-what">{t("jobs.title")}</span></h1>
          <p>{t("jobs.subtitle")}</p>
        </div>
        <div class="tools">
          {who.session && (
            <>
              <span class="who">{t("jobs.operator", { name: who.session.name })}</span>
              <button type="button" class="quiet" onClick={who.leave}>{t("review.signOut")}</button>
            </>
          )}
          <a class="quiet" href={`/${formatOverview({ ...startOverview, lang: view.lang, theme: view.theme })}`}>{t("review.overview")}</a>
          <Preferences theme={view.theme} choose={choose} format={format} />
        </div>
      </header>
      <main id="main" tabIndex={-1}>
        {view.job ? <JobPage key={view.job} view={view} choose={choose} who={who} format={format} /> : <ListPage view={view} choose={choose} format={format} />}
      </main>
    </div>
  );
}

export type Choose = (change: Partial<JobsState>, replace?: boolean) => void;

/** The choices in the address. Back and forward go through them. */
function useJobsState(): [JobsState, Choose] {
  const [view, set] = useState(() => parse(location.search));
  useEffect(() => {
    const onPop = () => set(parse(location.search));
    addEventListener("popstate", onPop);
    return () => removeEventListener("popstate", onPop);
  }, []);
  const choose = useCallback((change: Partial<JobsState>, replace = false) => {
    const next = { ...parse(location.search), ...change };
    history[replace ? "replaceState" : "pushState"](null, "", location.pathname + formatState(next));
    set(next);
  }, []);
  return [view, choose];
}
