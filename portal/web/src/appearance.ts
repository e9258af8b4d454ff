import { useEffect, useState } from "preact/hooks";
import type { Theme } from "./logic/state";

/** Puts the theme on the document and says which palette is in force. The wall is dark unless light is asked for. */
export function useAppearance(theme: Theme, view: "page" | "wall"): string {
  const wanted = view === "wall" && theme === "auto" ? "dark" : theme;
  const [systemDark, setSystemDark] = useState(() => matchMedia("(prefers-color-scheme: dark)").matches);
  useEffect(() => {
    const query = matchMedia("(prefers-color-scheme: dark)");
    const onChange = () => setSystemDark(query.matches);
    query.addEventListener("change", onChange);
    return () => query.removeEventListener("change", onChange);
  }, []);
  const palette = wanted === "auto" ? (systemDark ? "dark" : "light") : wanted;
  document.documentElement.dataset.palette = palette; // before the parts render: charts read the colours from it
  document.documentElement.dataset.view = view;
  return `${palette}/${view}`;
}
