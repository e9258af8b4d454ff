import type { ComponentChildren } from "preact";
import type { Format } from "../logic/format";
import { useNow } from "../remote";
import { keyOf, type Item, type Queue, type Wording } from "./api";
import { percent, titleOf } from "./words";

interface QueueListProps {
  queue: Queue;
  items: Item[]; // those of the queue that still wait
  wording: Wording | null;
  open: string; // key of the open pair, "" for none
  cursor: string; // key of the pair that Tab leads to
  choose: (item: Item) => void;
  format: Format;
}

/** The queue: one stop for Tab, arrows or j and k within. */
export function QueueList({ queue, items, wording, open, cursor, choose, format }: QueueListProps) {
  const t = format.t;
  const at = Math.max(0, items.findIndex((item) => keyOf(item) === cursor));
  return (
    <>
      <p class="queue-note">
        {t("queue.order")}
        {queue.total > queue.items.length && <> {t("queue.shown", { n: format.number(queue.items.length) })}</>}
      </p>
      <ol id="queue" class="queue-items" aria-label={t("queue.title")}>
        {items.map((item, i) => (
          <li key={keyOf(item)}>
            <button
              type="button"
              class="item"
              data-pair={keyOf(item)}
              tabIndex={i === at ? 0 : -1}
              aria-current={keyOf(item) === open ? "true" : undefined}
              onClick={() => choose(item)}
            >
              <ItemText item={item} position={i + 1} wording={wording} isOpen={keyOf(item) === open} format={format} />
            </button>
          </li>
        ))}
      </ol>
    </>
  );
}

function ItemText({ item, position, wording, isOpen, format }: { item: Item; position: number; wording: Wording | null; isOpen: boolean; format: Format }) {
  const t = format.t;
  const share = percent(format, item.probability);
  return (
    <>
      <span class="visually-hidden">{t("queue.position", { n: position })}, </span>
      <span class="item-settles">{item.settles > 1 ? t("queue.settles", { n: format.number(item.settles) }) : t("queue.settlesOne")}</span>
      {isOpen && <span class="item-open">{t("queue.open")}</span>}
      <span class="item-share">{t("queue.probability", { p: share })}</span>
      <span class="item-meter" aria-hidden="true"><i style={{ width: `${(item.probability * 100).toFixed(1)}%` }} /></span>
      {item.doubts?.map((name) => <span class="item-doubt" key={name}>{titleOf(format, wording?.doubts, name)}</span>)}
    </>
  );
}

export function QueueSkeleton({ format }: { format: Format }) {
  return (
    <div role="status">
      <span class="visually-hidden">{format.t("review.reading")}</span>
      <div class="queue-items" aria-hidden="true">
        {Array.from({ length: 6 }, (_, i) => <div class="item" key={i}><div class="bone bone-line" /><div class="bone bone-label" /></div>)}
      </div>
    </div>
  );
}

export function QueueEmpty({ format }: { format: Format }) {
  const t = format.t;
  return (
    <section class="message">
      <h2 id="queue-empty" tabIndex={-1}>{t("queue.empty")}</h2>
      <p>{t("queue.emptyWhat")}</p>
      <div class="commands"><div><code>shire identity review</code></div></div>
    </section>
  );
}

/** Says that the queue is frozen, and since when. */
export function QueueStale({ seenAt, format }: { seenAt: number; format: Format }) {
  const now = useNow(10_000);
  return (
    <div class="stale" role="status">
      <span class="stale-sign" aria-hidden="true" />
      <p>{format.t("queue.stale", { time: format.time(new Date(seenAt)), ago: format.ago((now - seenAt) / 1000) })}</p>
    </div>
  );
}

/** What stands where the case will be. The key is set into the sentence as a key. */
export function Nothing({ format }: { format: Format }) {
  const t = format.t;
  const [before, after] = t("queue.choose", { key: "\n" }).split("\n");
  return (
    <div class="case-none">
      <p>{before}<Key>Enter</Key>{after}</p>
      <p>{t("queue.chooseWhat")}</p>
    </div>
  );
}

export function Key({ children }: { children: ComponentChildren }) {
  return <kbd>{children}</kbd>;
}
