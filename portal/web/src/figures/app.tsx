import { useCallback, useEffect, useMemo, useState } from "preact/hooks";
import { useAppearance } from "../appearance";
import { preferred } from "../catalogue";
import { useCounty } from "../county";
import type { Format } from "../logic/format";
import { format as formatOverview, start as startOverview, type Theme } from "../logic/state";
import type { Language } from "../catalogue";
import { Preferences } from "../parts/header";
import { Empty, Failed, Loading, Stale } from "../parts/states";
import { FiguresContext, type Choose, type FiguresPage } from "./context";
import { ListPage } from "./list";
import { MetricPage } from "./metric";
import { format as formatState, parse, periodOf, start, type FiguresState } from "./state";

/** The pages of the figures: all of them by theme, and each with what it is made of. */
export function FiguresApp() {
  const [view, choose] = useFiguresState();
  const palette = useAppearance(view.theme, "page");
  const language = view.lang ?? preferred(navigator.languages);
  const { pulse, county, definitions, labels, name, format, version, waiting, missing, failure, retry } = useCounty(language);
  const t = format.t;
  const definition = definitions.data?.find((d) => d.name === view.metric);
  const title = definition ? format.text(definition.label) : "";
  useEffect(() => {
    document.documentElement.lang = language;
    document.title = [title, `${name} · ${t("figures.title")}`].filter(Boolean).join(" · ");
  }, [language, name, title, t]);

  const page = useMemo<FiguresPage | null>(() => {
    if (!county.data || !definitions.data || !labels.data || county.data.empty || waiting) return null;
    return { county: county.data, definitions: definitions.data, labels: labels.data, view, choose, period: periodOf(view, county.data.last_month), format, version, palette, retry };
  }, [county.data, definitions.data, labels.data, waiting, view, choose, format, version, palette, retry]);

  return (
    <div class="plain figures">
      <a class="skip" href="#main">{t("app.skip")}</a>
      <PageHead name={name} what={t("figures.title")} subtitle={t("figures.subtitle")} lang={view.lang} theme={view.theme} here="figures" choose={choose} format={format} />
      <Stale pulse={pulse} format={format} figures={page !== null} />
      <main id="main" tabIndex={-1}>
        {missing ? (
          failure ? <Failed failure={failure} retry={retry} t={t} /> : <Loading t={t} />
        ) : page ? (
          <FiguresContext.Provider value={page}>
            {!view.metric ? <ListPage /> : definition ? <MetricPage key={definition.name} definition={definition} /> : <Unknown choose={choose} format={format} />}
          </FiguresContext.Provider>
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

interface PageHeadProps {
  name: string;
  what: string;
  subtitle: string;
  lang: Language | null;
  theme: Theme;
  here: "figures" | "process";
  choose: (change: { theme?: Theme; lang?: Language }) => void;
  format: Format;
}

/** The head of the pages of figures, with the ways to the others. */
export function PageHead({ name, what, subtitle, lang, theme, here, choose, format }: PageHeadProps) {
  const t = format.t;
  return (
    <header class="masthead">
      <div class="title">
        <h1>{name}<span class="title-what">{what}</span></h1>
        <p>{subtitle}</p>
      </div>
      <div class="tools">
        <a class="quiet" href={`/${formatOverview({ ...startOverview, lang, theme })}`}>{t("review.overview")}</a>
        {here !== "figures" && <a class="quiet" href={`/figures${formatState({ ...start, lang, theme })}`}>{t("figures.title")}</a>}
        {here !== "process" && <a class="quiet" href={`/process${formatState({ ...start, lang, theme })}`}>{t("process.title")}</a>}
        <Preferences theme={theme} choose={choose} format={format} />
      </div>
    </header>
  );
}

function Unknown({ choose, format }: { choose: Choose; format: Format }) {
  return (
    <section class="message">
      <h2>{format.t("figures.unknown")}</h2>
      <p>{format.t("figures.unknownWhat")}</p>
      <button type="button" class="primary" onClick={() => choose({ metric: "" })}>{format.t("figures.all")}</button>
    </section>
  );
}

/** The choices in the address. Back and forward go through them. */
function useFiguresState(): [FiguresState, Choose] {
  const [view, set] = useState(() => parse(location.search));
  useEffect(() => {
    const onPop = () => set(parse(location.search));
    addEventListener("popstate", onPop);
    return () => removeEventListener("popstate", onPop);
  }, []);
  const choose = useCallback<Choose>((change, replace = false) => {
    const next = { ...parse(location.search), ...change };
    history[replace ? "replaceState" : "pushState"](null, "", location.pathname + formatState(next));
    set(next);
  }, []);
  return [view, choose];
}
