import type { RefObject } from "preact";
import type { Format } from "../logic/format";
import { decisions, type Case, type Decision } from "./api";
import { Key } from "./queue";
import { decisionOf } from "./words";

/** What a reviewer has chosen and written, and not handed in yet. */
export interface Draft {
  by: string; // reviewer
  pair: string;
  decision: Decision | "";
  reason: string;
}

export const leastReason = 3;

/** What is missing before a draft can be handed in; "" when nothing is. */
export function missing(draft: Draft): "" | "decision" | "reason" {
  if (!draft.decision) return "decision";
  const length = Array.from(draft.reason.trim()).length;
  return length < leastReason && (draft.decision !== "unsure" || length > 0) ? "reason" : "";
}

interface VerdictProps {
  case: Case;
  draft: Draft;
  change: (change: Partial<Draft>) => void;
  submit: () => void;
  withdraw: () => void;
  wrong: string; // a sentence; "" when nothing is
  lacks: "" | "decision" | "reason"; // when it was tried to hand in
  busy: boolean;
  reason: RefObject<HTMLTextAreaElement | null>;
  format: Format;
}

export function VerdictForm(props: VerdictProps) {
  const { case: c, draft, change, submit, withdraw, wrong, lacks, busy, reason, format } = props;
  const t = format.t;
  if (c.verdict) {
    return (
      <section class="verdict-panel" aria-labelledby="verdict-title">
        <h3 id="verdict-title">{t("verdict.title")}</h3>
        <p class="verdict-stands">
          {t("verdict.stands", { decision: decisionOf(format, c.about, c.verdict.decision), reviewer: c.verdict.reviewer, time: format.time(new Date(c.verdict.at)) })}
          {c.verdict.reason && <q>{c.verdict.reason}</q>}
        </p>
        {wrong && <p class="wrong" role="alert">{wrong}</p>}
        <button type="button" class="quiet bordered" aria-disabled={busy} onClick={withdraw}>{t("verdict.withdraw")}</button>
      </section>
    );
  }
  const optional = draft.decision === "unsure";
  return (
    <form class="verdict-panel" aria-labelledby="verdict-title" noValidate onSubmit={(e) => { e.preventDefault(); submit(); }}>
      <h3 id="verdict-title" class="visually-hidden">{t("verdict.title")}</h3>
      <fieldset class="decisions" aria-describedby={lacks === "decision" ? "verdict-wrong" : undefined}>
        <legend class="visually-hidden">{t("verdict.title")}</legend>
        {decisions.map((decision, i) => (
          <label key={decision} class={draft.decision === decision ? "decision chosen" : "decision"}>
            <input type="radio" name="decision" value={decision} checked={draft.decision === decision} onChange={() => change({ decision })} />
            {decisionOf(format, c.about, decision)}
            <Key>{i + 1}</Key>
          </label>
        ))}
      </fieldset>
      <div class="reason">
        <label for="reason">{t("verdict.reason")}{optional && <small>{t("verdict.reasonOptional")}</small>}<Key>r</Key></label>
        <textarea
          id="reason"
          ref={reason}
          rows={2}
          maxLength={500}
          value={draft.reason}
          required={!optional}
          aria-invalid={lacks === "reason"}
          aria-describedby={lacks === "reason" ? "verdict-wrong reason-hint" : "reason-hint"}
          onInput={(e) => change({ reason: e.currentTarget.value })}
        />
        <small id="reason-hint">{t("verdict.reasonHint")}</small>
      </div>
      <div class="verdict-end">
        <button type="submit" class="primary" aria-disabled={busy}>{t(busy ? "verdict.busy" : "verdict.submit")}</button>
        <span class="keys-hint" aria-hidden="true"><Key>Ctrl</Key><Key>Enter</Key></span>
      </div>
      {(wrong || lacks) && <p class="wrong" id="verdict-wrong" role="alert">{wrong || t(lacks === "decision" ? "verdict.needDecision" : "verdict.needReason")}</p>}
    </form>
  );
}
