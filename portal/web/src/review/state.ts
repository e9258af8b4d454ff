import { languages, type Language } from "../catalogue";
import { themes, type Theme } from "../logic/state";
import { abouts, type About } from "./api";

/** What a reviewer chose; all of it is in the address. Ids of records are pseudonyms and may be there. */
export interface ReviewState {
  lang: Language | null; // null: as the browser prefers
  theme: Theme;
  about: About;
  a: string; // the pair that is open; "" for none
  b: string;
}

export const start: ReviewState = { lang: null, theme: "auto", about: "person", a: "", b: "" };

const uuid = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;

/** Reads an address. What it does not understand is as at the start. */
export function parse(search: string): ReviewState {
  const p = new URLSearchParams(search);
  const [a = "", b = ""] = (p.get("pair") ?? "").split("_");
  const pair = uuid.test(a) && uuid.test(b) && a !== b;
  return {
    lang: languages.find((l) => l === p.get("lang")) ?? null,
    theme: themes.find((theme) => theme === p.get("theme")) ?? start.theme,
    about: abouts.find((about) => about === p.get("about")) ?? start.about,
    a: pair ? a : "",
    b: pair ? b : "",
  };
}

/** Writes an address; what is as at the start is left out. */
export function format(s: ReviewState): string {
  const p = new URLSearchParams();
  if (s.lang) p.set("lang", s.lang);
  if (s.theme !== start.theme) p.set("theme", s.theme);
  if (s.about !== start.about) p.set("about", s.about);
  if (s.a) p.set("pair", `${s.a}_${s.b}`);
  const text = p.toString();
  return text ? `?${text}` : "";
}
