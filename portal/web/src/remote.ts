import { useCallback, useEffect, useRef, useState } from "preact/hooks";
import { Failure, getJSON, type Flow } from "./api";

export interface Remote<T> {
  data: T | null; // the last answer; it stays while a new one is read and when that fails
  failure: Failure | null; // why the last attempt failed
  pending: boolean;
}

/**
 * Reads an address whenever it or the version changes. The answer to an earlier address stays until the new one is
 * here: figures are never cleared by a hiccup.
 */
export function useRemote<T>(url: string | null, version: string): Remote<T> {
  const [remote, set] = useState<Remote<T>>({ data: null, failure: null, pending: url !== null });
  useEffect(() => {
    if (url === null) return;
    const abort = new AbortController();
    set((old) => ({ ...old, pending: true }));
    getJSON<T>(url, abort.signal).then(
      (data) => set({ data, failure: null, pending: false }),
      (error: unknown) => {
        if (!abort.signal.aborted) set((old) => ({ ...old, failure: error instanceof Failure ? error : new Failure(String(error)), pending: false }));
      },
    );
    return () => abort.abort();
  }, [url, version]);
  return remote;
}

export interface Pulse {
  flow: Flow | null;
  seenAt: number; // when the portal last answered; 0: never
  lost: "" | "portal" | "flow"; // what does not answer any more: the portal, or behind it the flow
  regained: number; // how many times it came back
}

const every = 5_000;

/** Asks for the health of the flow every 5 s while the page is visible. */
export function useFlow(): Pulse {
  const [pulse, set] = useState<Pulse>({ flow: null, seenAt: 0, lost: "", regained: 0 });
  const failures = useRef(0);
  useEffect(() => {
    const abort = new AbortController();
    let timer = 0;
    const ask = async () => {
      clearTimeout(timer);
      try {
        const flow = await getJSON<Flow>("/api/v1/flow", abort.signal);
        failures.current = 0;
        set((old) => ({ flow, seenAt: Date.now(), lost: "", regained: old.regained + (old.lost ? 1 : 0) }));
      } catch (error) {
        if (abort.signal.aborted) return;
        failures.current++;
        if (failures.current > 1) set((old) => ({ ...old, lost: error instanceof Failure && error.code !== "unreachable" ? "flow" : "portal" })); // a single miss may be the network's
      }
      if (!abort.signal.aborted && !document.hidden) timer = window.setTimeout(ask, every);
    };
    const onVisible = () => {
      if (!document.hidden) void ask();
    };
    document.addEventListener("visibilitychange", onVisible);
    void ask();
    return () => {
      abort.abort();
      clearTimeout(timer);
      document.removeEventListener("visibilitychange", onVisible);
    };
  }, []);
  return pulse;
}

/**
 * Follows a value, but changes at most once in `interval` ms: while a large load runs, every one of its parts completes a
 * generation, and reading all figures for each would cost the warehouse more than the load.
 */
export function useThrottled<T>(value: T, interval: number): T {
  const [followed, set] = useState(value);
  const changedAt = useRef(0);
  useEffect(() => {
    if (Object.is(value, followed)) return;
    const timer = setTimeout(() => {
      changedAt.current = Date.now();
      set(value);
    }, Math.max(0, changedAt.current + interval - Date.now()));
    return () => clearTimeout(timer);
  }, [value, followed, interval]);
  return followed;
}

/** Renders again every `interval` ms, for texts such as "14 s ago". */
export function useNow(interval: number): number {
  const [now, set] = useState(Date.now);
  useEffect(() => {
    const timer = setInterval(() => set(Date.now()), interval);
    return () => clearInterval(timer);
  }, [interval]);
  return now;
}

/** Counts every `interval` ms while the page is visible, and when it is asked to: for what has to be read again. */
export function useBeat(interval: number): [number, () => void] {
  const [n, count] = useCounter();
  useEffect(() => {
    const beat = () => {
      if (!document.hidden) count();
    };
    const timer = setInterval(beat, interval);
    document.addEventListener("visibilitychange", beat);
    return () => {
      clearInterval(timer);
      document.removeEventListener("visibilitychange", beat);
    };
  }, [interval, count]);
  return [n, count];
}

export function useCounter(): [number, () => void] {
  const [n, set] = useState(0);
  return [n, useCallback(() => set((old) => old + 1), [])];
}
