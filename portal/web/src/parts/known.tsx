import type { Restated } from "../api";
import { columnName } from "../figures/words";
import type { Format } from "../logic/format";
import { isDay } from "../logic/months";

/** As known on which day; "" is now. */
export function KnownOn({ day, last, choose, format }: { day: string; last: string | undefined; choose: (day: string) => void; format: Format }) {
  const t = format.t;
  return (
    <fieldset class="choice">
      <label class="field">
        <span>{t("figures.known")}</span>
        <input type="date" class="day" value={day} max={last} onChange={(e) => choose(isDay(e.currentTarget.value) ? e.currentTarget.value : "")} />
      </label>
      {day ? <button type="button" class="quiet" onClick={() => choose("")}>{t("figures.knownNow")}</button> : <span class="aside">{t("figures.knownIsNow")}</span>}
    </fieldset>
  );
}

/** What has changed in the county's records since that day. */
export function RestatedWords({ restated, format }: { restated: Restated[]; format: Format }) {
  const t = format.t;
  if (restated.length === 0) return <p class="aside">{t("figures.restatedNone")}</p>;
  return (
    <details class="fig-restated">
      <summary>{t("figures.restated", { n: format.number(restated.reduce((sum, r) => sum + r.records, 0)) })}</summary>
      <ul>
        {restated.map((r) => (
          <li key={r.dataset + r.change}>
            {r.dataset ? `${columnName(format, r.dataset)}: ` : ""}{t(restatedKey(r.change), { n: format.number(r.records) })}
          </li>
        ))}
      </ul>
    </details>
  );
}

function restatedKey(change: string) {
  const known = ["added", "corrected", "removed", "merge", "split"] as const;
  return `restated.${known.find((k) => k === change) ?? "other"}` as const;
}
