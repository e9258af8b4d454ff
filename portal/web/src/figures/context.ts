import { createContext } from "preact";
import { useContext } from "preact/hooks";
import type { County, Definition, Labels } from "../api";
import type { Format } from "../logic/format";
import type { Range } from "../logic/months";
import type { FiguresState } from "./state";

export type Choose = (change: Partial<FiguresState>, replace?: boolean) => void;

/** What every part of the pages of figures reads. */
export interface FiguresPage {
  county: County;
  definitions: Definition[];
  labels: Labels;
  view: FiguresState;
  choose: Choose;
  period: Range;
  format: Format;
  version: string;
  palette: string;
  retry: () => void;
}

export const FiguresContext = createContext<FiguresPage | null>(null);

export function useFigures(): FiguresPage {
  const page = useContext(FiguresContext);
  if (!page) throw new Error("outside the page");
  return page;
}
