import type { ComponentChildren } from "preact";
import { useEffect, useMemo } from "preact/hooks";
import type { County, Labels } from "../api";
import { useAppearance } from "../appearance";
import { isKey, languages, preferred, translator } from "../catalogue";
import { Format } from "../logic/format";
import { themes, type Theme } from "../logic/state";
import { Preferences } from "../parts/header";
import { useRemote } from "../remote";
import type { SignedIn } from "../session";
import { format as formatPlace, usePlace, type Choose, type Place } from "./place";

export interface Page {
  place: Place;
  choose: Choose;
  format: Format;
  department: (code: string) => string;
}

/** What the pages of sharing stand on. */
export function usePage(): Page & { county: County | null } {
  const [place, choose] = usePlace();
  const theme: Theme = themes.find((name) => name === place.theme) ?? "auto";
  useAppearance(theme, "page");
  const language = languages.find((l) => l === place.lang) ?? preferred(navigator.languages);
  const county = useRemote<County>("/api/v1/county", "").data;
  const labels = useRemote<Labels>("/api/v1/labels", "").data;
  const zone = county?.time_zone ?? "Asia/Shanghai";
  const format = useMemo(() => new Format(language, translator(language), zone), [language, zone]);
  const department = useMemo(() => {
    const names = new Map((labels?.departments ?? []).map((l) => [l.key, format.text(l)]));
    return (code: string) => names.get(code) || code;
  }, [labels, format]);
  return { place, choose, format, department, county };
}

interface ShellProps {
  page: Page & { county: County | null };
  title: "catalogue" | "requests" | "window" | "supervision";
  who?: SignedIn;
  children: ComponentChildren;
}

export function Shell({ page, title, who, children }: ShellProps) {
  const { place, choose, format, county } = page;
  const t = format.t;
  const name = county ? (format.language === "en" ? county.name_en || county.name_zh : county.name_zh) : "shire";
  const heading = t(({ catalogue: "sharing.catalogue", requests: "sharing.requests", window: "window.title", supervision: "sharing.supervision" } as const)[title]);
  const what = t(({ catalogue: "sharing.catalogueWhat", requests: "sharing.requestsWhat", window: "window.what", supervision: "sharing.supervisionWhat" } as const)[title]);
  useEffect(() => {
    document.documentElement.lang = format.language;
    document.title = `${name} · ${heading}`;
  }, [format.language, name, heading]);
  const keep = formatPlace({ lang: place.lang ?? "", theme: place.theme ?? "" });
  return (
    <div class="plain sharing">
      <a class="skip" href="#main">{t("sharing.skip")}</a>
      <header class="masthead">
        <div class="title">
          <h1>{name}<span class="title-what">{heading}</span></h1>
          <p>{what}</p>
        </div>
        <div class="tools">
          {who?.session && (
            <>
              <span class="who">{t("sharing.who", { name: who.session.name })}</span>
              <button type="button" class="quiet" onClick={who.leave}>{t("review.signOut")}</button>
            </>
          )}
          <a class="quiet" href={`/${keep}`}>{t("review.overview")}</a>
          {title !== "catalogue" && <a class="quiet" href={`/catalogue${keep}`}>{t("sharing.catalogue")}</a>}
          {title !== "requests" && <a class="quiet" href={`/sharing${keep}`}>{t("sharing.requests")}</a>}
          {title !== "window" && county?.window && <a class="quiet" href={`/window${keep}`}>{t("window.title")}</a>}
          {title !== "supervision" && county?.supervision && <a class="quiet" href={`/supervision${keep}`}>{t("sharing.supervision")}</a>}
          <Preferences theme={themes.find((n) => n === place.theme) ?? "auto"} choose={(c) => choose(c as Place)} format={format} />
        </div>
      </header>
      <main id="main" tabIndex={-1}>{children}</main>
    </div>
  );
}

/** A code of the node in the reader's language; as it is where the catalogue does not know it. */
export function word(format: Format, family: "type" | "every" | "level" | "state" | "act" | "mask" | "decision" | "why", code: string): string {
  const key = {
    type: `sharing.type.${code}`, every: `sharing.every.${code}`, level: `sharing.level.${code}`, state: `sharing.state.${code}`, act: `sharing.act.${code}`, mask: `sharing.mask.${code}`, decision: `sharing.decision.${code}`, why: `sharing.why.${code}`,
  }[family];
  return isKey(key) ? format.t(key) : code;
}
