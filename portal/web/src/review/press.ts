import { useEffect, useRef } from "preact/hooks";
import { actionOf, type Action, type Place } from "./keys";

function placeOf(target: EventTarget | null): Place {
  if (!(target instanceof Element)) return "page";
  if (target.closest('textarea, select, input:not([type="radio"]):not([type="checkbox"])')) return "text";
  return target.closest("#queue") ? "queue" : "page";
}

/** Listens to the keys of the whole page. An open dialog keeps its keys to itself. */
export function useKeys(act: (action: Action, inText: boolean) => void, single: boolean): void {
  const latest = useRef(act);
  latest.current = act;
  useEffect(() => {
    const onKey = (event: KeyboardEvent) => {
      if (event.defaultPrevented || event.isComposing || document.querySelector("dialog[open]")) return; // composing: an input method's keys
      const where = placeOf(event.target);
      const action = actionOf(event, where, single);
      if (!action) return;
      event.preventDefault();
      latest.current(action, where === "text");
    };
    document.addEventListener("keydown", onKey);
    return () => document.removeEventListener("keydown", onKey);
  }, [single]);
}
