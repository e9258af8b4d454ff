import { useCallback, useEffect, useMemo, useState } from "preact/hooks";
import type { County } from "../api";
import { useAppearance } from "../appearance";
import { preferred, translator } from "../catalogue";
import { Format } from "../logic/format";
import { format as formatOverview, start as startOverview } from "../logic/state";
import { Preferences } from "../parts/header";
import { useRemote } from "../remote";
import { DetailPage } from "./detail";
import { ListPage } from "./list";
import { format as formatState, parse, type EvaluationState } from "./state";

/** The page of what the county did: what was claimed when, and whether the data show it. */
export function EvaluationApp() {
  const [view, choose] = useEvaluationState();
  const palette = useAppearance(view.theme, "page");
  const language = view.lang ?? preferred(navigator.languages);
  const county = useRemote<County>("/api/v1/county", "").data; // its name and its clock; the page works without
  const zone = county?.time_zone ?? "Asia/Shanghai";
  const format = useMemo(() => new Format(language, translator(language), zone), [language, zone]);
  const t = format.t;
  const name = county ? (language === "en" ? county.name_en || county.name_zh : county.name_zh) : "shire";
  useEffect(() => {
    document.documentElement.lang = language;
    document.title = `${name} · ${t("evaluation.title")}`;
  }, [language, name, t]);

  return (
    <div class="plain evaluation">
      <a class="skip" href="#main">{t("evaluation.skip")}</a>
      <header class="masthead">
        <div class="title">
          <h1>{name}<span class="title-what">{t("evaluation.title")}</span></h1>
          <p>{t("evaluation.subtitle")}</p>
        </div>
        <div class="tools">
          <a class="quiet" href={`/${formatOverview({ ...startOverview, lang: view.lang, theme: view.theme })}`}>{t("review.overview")}</a>
          <Preferences theme={view.theme} choose={choose} format={format} />
        </div>
      </header>
      <main id="main" tabIndex={-1}>
        {view.intervention ? <DetailPage key={view.intervention} view={view} choose={choose} format={format} palette={palette} /> : <ListPage view={view} choose={choose} format={format} />}
      </main>
    </div>
  );
}

export type Choose = (change: Partial<EvaluationState>) => void;

/** The choices in the address. Back and forward go through them. */
function useEvaluationState(): [EvaluationState, Choose] {
  const [view, set] = useState(() => parse(location.search));
  useEffect(() => {
    const onPop = () => set(parse(location.search));
    addEventListener("popstate", onPop);
    return () => removeEventListener("popstate", onPop);
  }, []);
  const choose = useCallback((change: Partial<EvaluationState>) => {
    const next = { ...parse(location.search), ...change };
    history.pushState(null, "", location.pathname + formatState(next));
    set(next);
  }, []);
  return [view, choose];
}
