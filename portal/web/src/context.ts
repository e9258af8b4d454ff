import { createContext } from "preact";
import { useContext } from "preact/hooks";
import type { County, Definition, Labels } from "./api";
import type { Format } from "./logic/format";
import type { Range } from "./logic/months";
import type { ViewState } from "./logic/state";

/** What every part of the page reads: the county, the choices in the address, and how to say figures. */
export interface Page {
  county: County;
  definitions: Definition[];
  labels: Labels;
  view: ViewState;
  choose: (change: Partial<ViewState>) => void;
  period: Range;
  baseline: Range;
  offset: number; // months from a month of the period back to its counterpart
  format: Format;
  version: string; // of the figures: changes when they have to be read again
  palette: string; // changes with the colours
  retry: () => void;
}

export const PageContext = createContext<Page | null>(null);

export function usePage(): Page {
  const page = useContext(PageContext);
  if (!page) throw new Error("outside the page");
  return page;
}

/** The name of a department or item, or its code where nobody delivered a name. */
export function nameOf(page: Page, dimension: "department" | "item", key: string): string {
  const list = dimension === "department" ? page.labels.departments : page.labels.items;
  const label = list.find((l) => l.key === key);
  const name = label && page.format.text(label);
  return name || (dimension === "item" ? page.format.t("breakdown.unnamed", { code: key }) : key);
}
