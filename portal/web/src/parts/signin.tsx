import { useEffect, useRef, useState } from "preact/hooks";
import { change, Failure, signOnURL, type Door, type Session, type SignInWays } from "../api";
import { useRemote } from "../remote";
import type { Format } from "../logic/format";
import { sentence } from "./states";

interface SignInProps {
  door: Door;
  what: string; // is behind it
  ended: string; // what to say of a session that has ended by itself; "" when none has
  how: string; // somebody is let in
  command: string; // by which somebody is let in
  enter: (session: Session) => void;
  format: Format;
}

export function SignIn({ door, what, ended, how, command, enter, format }: SignInProps) {
  const t = format.t;
  const [failure, setFailure] = useState<Failure | null>(null);
  const [busy, setBusy] = useState(false);
  const ways = useRemote<SignInWays>("/api/v1/sign-in", "").data; // local accounts do without
  const name = useRef<HTMLInputElement>(null);
  const password = useRef<HTMLInputElement>(null);
  useEffect(() => name.current?.focus(), []);
  const submit = async (event: Event) => {
    event.preventDefault();
    if (busy) return;
    setBusy(true);
    setFailure(null);
    try {
      enter(await change<Session>(door, "POST", door.session, { name: name.current!.value.trim(), password: password.current!.value }));
    } catch (error) {
      setFailure(error instanceof Failure ? error : new Failure(String(error)));
      setBusy(false);
      password.current?.select();
    }
  };
  return (
    <section class="message signin">
      <h2>{t("signin.title")}</h2>
      <p>{what}</p>
      {ended && <p class="signin-note" role="status">{ended}</p>}
      {!isSecureContext && <p class="signin-note" role="alert">{t("signin.insecure", { scheme: "https" })}</p>}
      {ways?.oidc && (
        <p class="signin-on">
          <a class="primary" href={signOnURL(door, ways.oidc.origin, location)}>{format.text(ways.oidc)}</a>
          <span class="signin-or">{t("signin.or")}</span>
        </p>
      )}
      <form onSubmit={submit} aria-describedby={failure ? "signin-failure" : undefined}>
        <label>
          <span>{t("signin.name")}</span>
          <input ref={name} name="name" autocomplete="username" autocapitalize="off" spellcheck={false} required maxLength={64} />
        </label>
        <label>
          <span>{t("signin.password")}</span>
          <input ref={password} name="password" type="password" autocomplete="current-password" required maxLength={200} />
        </label>
        {failure && <p class="wrong" id="signin-failure" role="alert">{sentence(failure, format)}</p>}
        <button type="submit" class="primary" aria-disabled={busy}>{t(busy ? "signin.busy" : "signin.submit")}</button>
      </form>
      <dl class="commands">
        <div><dt>{how}</dt><dd><code>{command}</code></dd></div>
      </dl>
    </section>
  );
}
