import { useEffect, useRef } from "preact/hooks";
import type { Key as TextKey } from "../catalogue";
import type { Format } from "../logic/format";
import { Key } from "./queue";

const list: [string[], TextKey][] = [
  [["j", "k", "↓", "↑"], "keys.move"],
  [["Enter"], "keys.open"],
  [["1", "2", "3"], "keys.decide"],
  [["r"], "keys.reason"],
  [["Ctrl", "Enter"], "keys.submit"],
  [["Esc"], "keys.leave"],
  [["?"], "keys.help"],
];

interface KeyHelpProps {
  close: () => void;
  single: boolean;
  setSingle: (on: boolean) => void;
  format: Format;
}

export function KeyHelp({ close, single, setSingle, format }: KeyHelpProps) {
  const t = format.t;
  const dialog = useRef<HTMLDialogElement>(null);
  useEffect(() => dialog.current?.showModal(), []); // it keeps the focus inside, and gives it back
  return (
    <dialog ref={dialog} class="keys" aria-labelledby="keys-title" onClose={close}>
      <h2 id="keys-title">{t("keys.title")}</h2>
      <dl>
        {list.map(([keys, text]) => (
          <div key={text}>
            <dt>{keys.map((key) => <Key key={key}>{key}</Key>)}</dt>
            <dd>{t(text)}</dd>
          </div>
        ))}
      </dl>
      <label class="keys-single">
        <input type="checkbox" checked={single} onChange={(e) => setSingle(e.currentTarget.checked)} />
        {t("keys.single")}
      </label>
      <button type="button" class="primary" autofocus onClick={() => dialog.current?.close()}>{t("keys.close")}</button>
    </dialog>
  );
}

const remembered = "shire.review.single-keys";

export function singleKeys(): boolean {
  try {
    return localStorage.getItem(remembered) !== "off";
  } catch {
    return true; // a browser may keep nothing
  }
}

export function rememberSingleKeys(on: boolean): void {
  try {
    localStorage.setItem(remembered, on ? "on" : "off");
  } catch {
    // then it holds for this visit
  }
}
