import { useCallback, useEffect, useMemo, useState } from "preact/hooks";
import { useAppearance } from "./appearance";
import { preferred } from "./catalogue";
import { PageContext, type Page } from "./context";
import { useCounty } from "./county";
import { baselineOf, offset } from "./logic/compare";
import { format as formatState, parse, periodOf, type ViewState } from "./logic/state";
import { Breakdown } from "./parts/breakdown";
import { Cards, overview } from "./parts/cards";
import { Controls, Masthead } from "./parts/header";
import { Empty, Failed, Loading, Stale } from "./parts/states";
import { Strip } from "./parts/strip";
import { Trend } from "./parts/trend";

const wallTurn = 20_000; // the wall shows the next metric after this

export function App() {
  const [view, choose] = useView();
  const palette = useAppearance(view.theme, view.view);
  const language = view.lang ?? preferred(navigator.languages);
  const { pulse, county, definitions, labels, name, format, version, waiting, missing, failure, retry } = useCounty(language);
  const t = format.t;
  useEffect(() => {
    document.documentElement.lang = language;
    document.title = `${name} · ${t("app.title")}`;
  }, [language, name, t]);

  const page = useMemo<Page | null>(() => {
    if (!county.data || !definitions.data || !labels.data || county.data.empty || waiting) return null;
    const period = periodOf(view, county.data.last_month);
    return {
      county: county.data, definitions: definitions.data, labels: labels.data, view, choose, period,
      baseline: baselineOf(period, view.compare), offset: offset(period, view.compare), format, version, palette, retry,
    };
  }, [county.data, definitions.data, labels.data, waiting, view, choose, format, version, palette, retry]);
  useWallTurns(view, page, choose);

  const wall = view.view === "wall";
  return (
    <div class={wall ? "wall" : "plain"}>
      <a class="skip" href="#main">{t("app.skip")}</a>
      <Masthead name={name} county={county.data} view={view} choose={choose} format={format} />
      <Strip pulse={pulse} format={format} compact={wall} />
      <Stale pulse={pulse} format={format} figures={page !== null} />
      <main id="main" tabIndex={-1}>
        {missing ? (
          failure ? <Failed failure={failure} retry={retry} t={t} /> : <Loading t={t} />
        ) : page ? (
          <PageContext.Provider value={page}>
            {!wall && <Controls />}
            <Cards />
            <Trend />
            <div class="pair">
              <Breakdown by="department" />
              <Breakdown by="item" />
            </div>
          </PageContext.Provider>
        ) : (
          <Empty t={t} />
        )}
      </main>
      <footer class="foot">
        {county.data?.as_of && <span>{t("app.asOf", { time: format.time(new Date(county.data.as_of)) })}</span>}
        {county.data && <span>{t("app.version", { version: county.data.version })}</span>}
        <a href="/openapi.json">{t("app.api")}</a>
      </footer>
    </div>
  );
}

/** The choices in the address. Back and forward go through them. */
function useView(): [ViewState, (change: Partial<ViewState>) => void] {
  const [view, set] = useState(() => parse(location.search));
  useEffect(() => {
    const onPop = () => set(parse(location.search));
    addEventListener("popstate", onPop);
    return () => removeEventListener("popstate", onPop);
  }, []);
  const choose = useCallback((change: Partial<ViewState>) => {
    const next = { ...parse(location.search), ...change };
    history.pushState(null, "", location.pathname + formatState(next) + location.hash);
    set(next);
  }, []);
  return [view, choose];
}

/** The wall goes through the metrics by itself; it leaves no trail in the history. */
function useWallTurns(view: ViewState, page: Page | null, choose: (change: Partial<ViewState>) => void) {
  const turning = view.view === "wall" && page !== null;
  const next = page && nextMetric(page);
  useEffect(() => {
    if (!turning || !next) return;
    const timer = setTimeout(() => {
      history.replaceState(null, "", location.pathname + formatState({ ...view, metric: next }));
      dispatchEvent(new PopStateEvent("popstate"));
    }, wallTurn);
    return () => clearTimeout(timer);
  }, [turning, next, view, choose]);
}

function nextMetric(page: Page): string | undefined {
  const names = overview.filter((name) => page.definitions.some((d) => d.name === name));
  return names[(names.indexOf(page.view.metric) + 1) % names.length];
}
