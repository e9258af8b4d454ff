import { en } from "./en";
import { zh, type Key } from "./zh-CN";

export type { Key } from "./zh-CN";
export type Language = "zh-CN" | "en";
export const languages: readonly Language[] = ["zh-CN", "en"];

const catalogues: Record<Language, Record<Key, string>> = { "zh-CN": zh, en };

export type Translate = (key: Key, values?: Record<string, string | number>) => string;

export function translator(language: Language): Translate {
  const catalogue = catalogues[language];
  return (key, values) => catalogue[key].replace(/\{(\w+)\}/g, (whole, name: string) => (values && name in values ? String(values[name]) : whole));
}

/** Whether a key that was put together at run time is in the catalogue: kinds and states come from the data. */
export function isKey(key: string): key is Key {
  return key in zh;
}

/** A browser's preferred languages to ours; Chinese where none is known. */
export function preferred(wanted: readonly string[]): Language {
  for (const tag of wanted) {
    if (tag.toLowerCase().startsWith("zh")) return "zh-CN";
    if (tag.toLowerCase().startsWith("en")) return "en";
  }
  return "zh-CN";
}
