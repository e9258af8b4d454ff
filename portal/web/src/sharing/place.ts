import { useCallback, useEffect, useState } from "preact/hooks";

/** What somebody chose to see; all of it is in the address, and what is empty is left out. */
export type Place = Record<string, string>;
export type Choose = (change: Place, replace?: boolean) => void;

const known = ["lang", "theme", "q", "type", "department", "item", "state", "request"];

/** Reads an address. What it does not know, or what is too long to be ours, is left out. */
export function parse(search: string): Place {
  const place: Place = {};
  for (const [name, value] of new URLSearchParams(search)) if (known.includes(name) && value && value.length <= 128) place[name] = value;
  return place;
}

export function format(place: Place): string {
  const p = new URLSearchParams();
  for (const name of known) if (place[name] && !(name === "theme" && place[name] === "auto")) p.set(name, place[name]!);
  const text = p.toString();
  return text ? `?${text}` : "";
}

export function usePlace(): [Place, Choose] {
  const [place, set] = useState(() => parse(location.search));
  useEffect(() => {
    const onPop = () => set(parse(location.search));
    addEventListener("popstate", onPop);
    return () => removeEventListener("popstate", onPop);
  }, []);
  const choose = useCallback((change: Place, replace = false) => {
    const next = parse(format({ ...parse(location.search), ...change }));
    history[replace ? "replaceState" : "pushState"](null, "", location.pathname + format(next));
    set(next);
  }, []);
  return [place, choose];
}
