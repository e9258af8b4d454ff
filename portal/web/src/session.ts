import { useCallback, useEffect, useState } from "preact/hooks";
import { change, Failure, getJSON, type Door, type Session } from "./api";

export interface SignedIn {
  state: "asking" | "out" | "in" | "off" | "failed";
  session: Session | null; // when in
  failure: Failure | null; // when failed
  ended: boolean; // out, because the session ended by itself
  enter: (session: Session) => void;
  expire: () => void;
  leave: () => void;
  retry: () => void;
}

type State = Pick<SignedIn, "state" | "session" | "failure" | "ended">;

const out: State = { state: "out", session: null, failure: null, ended: false };

/** Who has signed in. The cookie itself is out of reach for scripts; the portal is asked. */
export function useSession(door: Door): SignedIn {
  const [now, set] = useState<State>({ ...out, state: "asking" });
  const [tries, setTries] = useState(0);
  useEffect(() => {
    const abort = new AbortController();
    getJSON<Session>(door.session, abort.signal).then(
      (session) => set({ ...out, state: "in", session }),
      (error: unknown) => {
        if (abort.signal.aborted) return;
        const failure = error instanceof Failure ? error : new Failure(String(error));
        if (failure.code === "signed_out") set(out);
        else set({ ...out, state: failure.code.endsWith("_off") ? "off" : "failed", failure });
      },
    );
    return () => abort.abort();
  }, [door, tries]);
  return {
    ...now,
    enter: useCallback((session: Session) => set({ ...out, state: "in", session }), []),
    expire: useCallback(() => set({ ...out, ended: true }), []),
    leave: useCallback(() => {
      set(out); // what is on the screen goes first, whatever the portal answers
      const onward = now.session?.sign_out;
      void change(door, "DELETE", door.session).catch(() => {}).then(() => {
        if (onward) location.assign(onward); // or whoever comes next to this screen is one press of a button away from being in again
      });
    }, [door, now.session]),
    retry: useCallback(() => setTries((n) => n + 1), []),
  };
}
