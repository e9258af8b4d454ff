import { useEffect, useMemo, useRef, useState } from "preact/hooks";
import { change, Failure, type Session } from "../api";
import type { Format } from "../logic/format";
import { ReadFailed, sentence } from "../parts/states";
import { useCounter, useRemote } from "../remote";
import { caseURL, door, keyOf, modelURL, queueURL, verdictsURL, verdictURL, type Case, type Item, type Queue, type Verdict, type Wording } from "./api";
import { Evidence } from "./evidence";
import { moved, type Action } from "./keys";
import { useKeys } from "./press";
import { Nothing, QueueEmpty, QueueList, QueueSkeleton, QueueStale } from "./queue";
import { Neighbours, Records } from "./records";
import type { ReviewState } from "./state";
import { missing, VerdictForm, type Draft } from "./verdict";
import { decisionOf, percent } from "./words";

const refreshEvery = 30_000;

interface DeskProps {
  view: ReviewState;
  choose: (change: Partial<ReviewState>) => void;
  session: Session;
  expire: () => void;
  draft: Draft | null;
  setDraft: (draft: Draft | null) => void;
  single: boolean;
  help: () => void;
  format: Format;
}

/** The queue, the pair that is open, and the verdict on it. */
export function Desk({ view, choose, session, expire, draft: kept, setDraft, single, help, format }: DeskProps) {
  const t = format.t;
  const [looks, look] = useCounter(); // at the queue
  const [reads, read] = useCounter(); // of the pair: each is written to the access log
  const queue = useRemote<Queue>(queueURL(view.about), String(looks));
  const wording = useRemote<Wording>(modelURL(view.about), "");
  const pair = useRemote<Case>(view.a ? caseURL(view.about, view.a, view.b) : null, String(reads));
  const open = view.a ? keyOf(view) : "";
  const seenAt = useMemo(() => Date.now(), [queue.data]);

  const [settled, setSettled] = useState<{ pair: string; verdict: Verdict } | null>(null); // since the queue and the pair were read
  const shown = useMemo(() => {
    const c = pair.data && keyOf(pair.data) === open ? pair.data : null;
    return c && settled?.pair === open ? { ...c, verdict: settled.verdict, together: settled.verdict.decision === "same" || (c.together && settled.verdict.decision === "unsure") } : c;
  }, [pair.data, open, settled]);
  const items = useMemo(() => (queue.data?.items ?? []).filter((item) => keyOf(item) !== settled?.pair), [queue.data, settled]);
  const waiting = (queue.data?.total ?? 0) - ((queue.data?.items.length ?? 0) - items.length);

  const [cursor, setCursor] = useState(open);
  const [said, say] = useState(""); // for those who listen, and beside the queue for those who look
  const [lacks, setLacks] = useState<"" | "decision" | "reason">("");
  const [wrong, setWrong] = useState("");
  const [busy, setBusy] = useState(false);
  const reason = useRef<HTMLTextAreaElement>(null);
  const title = useRef<HTMLHeadingElement>(null);
  const enter = useRef(false); // the pair was just opened: its title takes the focus when it is there

  const draft: Draft = kept && kept.pair === open ? kept : { by: session.name, pair: open, decision: "", reason: "" };
  const write = (change: Partial<Draft>) => {
    setLacks("");
    setDraft({ ...draft, ...change });
  };

  useEffect(() => {
    if ([queue, wording, pair].some((remote) => remote.failure?.code === "signed_out")) expire();
  }, [queue, wording, pair, expire]);
  useEffect(() => {
    const refresh = () => {
      if (!document.hidden) look();
    };
    const timer = setInterval(refresh, refreshEvery);
    document.addEventListener("visibilitychange", refresh);
    return () => {
      clearInterval(timer);
      document.removeEventListener("visibilitychange", refresh);
    };
  }, [look]);
  useEffect(() => {
    setLacks("");
    setWrong("");
    if (open) setCursor(open);
  }, [open]);
  useEffect(() => {
    if (!shown || !enter.current) return;
    enter.current = false;
    title.current?.focus();
  }, [shown]);

  const openPair = (item: Item) => {
    enter.current = true;
    setSettled(null);
    say("");
    choose({ a: item.a, b: item.b });
    if (keyOf(item) === open) title.current?.focus();
  };
  const goTo = (pair: string) => {
    setCursor(pair);
    // After the list is drawn: the item may be new there, or have moved.
    requestAnimationFrame(() => (document.querySelector<HTMLElement>(`[data-pair="${pair}"]`) ?? document.getElementById("queue-empty"))?.focus());
  };
  const position = Math.max(0, items.findIndex((item) => keyOf(item) === cursor));

  const settle = async (work: () => Promise<void>, done: () => void) => {
    if (busy) return;
    setBusy(true);
    setWrong("");
    try {
      await work();
      done();
    } catch (error) {
      const failure = error instanceof Failure ? error : new Failure(String(error));
      if (failure.code === "signed_out") expire();
      setWrong(t("verdict.failed", { detail: sentence(failure, format) }));
      look();
    }
    setBusy(false);
  };
  const submit = () => {
    if (!shown || shown.verdict) return;
    const lacking = missing(draft);
    setLacks(lacking);
    if (lacking === "reason") reason.current?.focus();
    if (lacking || !draft.decision) return;
    const verdict = { decision: draft.decision, reviewer: session.name, reason: draft.reason.trim(), at: new Date().toISOString() };
    void settle(
      () => change(door, "POST", verdictsURL, { about: view.about, a: view.a, b: view.b, decision: verdict.decision, reason: verdict.reason }),
      () => {
        const at = items.findIndex((item) => keyOf(item) === open);
        const next = items[at + 1] ?? items[at - 1];
        setSettled({ pair: open, verdict });
        setDraft(null);
        say(t("verdict.recorded", { decision: decisionOf(format, view.about, verdict.decision), n: format.number(Math.max(0, waiting - (at < 0 ? 0 : 1))) }));
        look();
        goTo(next ? keyOf(next) : "");
      },
    );
  };
  const withdraw = () =>
    void settle(
      () => change(door, "DELETE", verdictURL(view.about, view.a, view.b)),
      () => {
        setSettled(null);
        say(t("verdict.withdrawn"));
        enter.current = true;
        look();
        read();
      },
    );

  const act = (action: Action, inText: boolean) => {
    switch (action) {
      case "next":
      case "previous": {
        const inQueue = document.activeElement?.closest("#queue");
        const to = items[moved(inQueue || open ? position : -1, action === "next" ? 1 : -1, items.length)];
        if (to) goTo(keyOf(to));
        return;
      }
      case "same":
      case "different":
      case "unsure":
        if (!shown || shown.verdict) return;
        write({ decision: action });
        say(t("verdict.chosen", { decision: decisionOf(format, view.about, action) }));
        return;
      case "reason":
        return reason.current?.focus();
      case "submit":
        return submit();
      case "leave":
        if (inText) return title.current?.focus();
        if (!open) return;
        say("");
        choose({ a: "", b: "" });
        return goTo(cursor);
      case "help":
        return help();
    }
  };
  useKeys(act, single);

  if (!queue.data && queue.failure) return <ReadFailed title={t("load.failed")} failure={queue.failure} retry={look} format={format} />;
  return (
    <div class="desk">
      <section class="queue" aria-labelledby="queue-title" aria-busy={queue.pending && !queue.data}>
        <h2 id="queue-title">{t("queue.title")}{queue.data && <span class="queue-count">{t("queue.count", { n: format.number(waiting) })}</span>}</h2>
        <p class="said" role="status">{said}</p>
        {queue.data && queue.failure && <QueueStale seenAt={seenAt} format={format} />}
        {!queue.data ? <QueueSkeleton format={format} /> : items.length > 0 && <QueueList queue={queue.data} items={items} wording={wording.data} open={open} cursor={cursor} choose={openPair} format={format} />}
      </section>
      <div class="case" id="case">
        {shown ? (
          <article aria-labelledby="case-title">
            <header class="case-head">
              <h2 id="case-title" ref={title} tabIndex={-1}>{t("case.title")}</h2>
              <p>{t("queue.probability", { p: percent(format, shown.probability) })}<span class="case-state">{t(shown.together ? "case.together" : "case.apart")}</span></p>
            </header>
            <Records case={shown} format={format} />
            {shown.explanation ? <Evidence case={shown} explanation={shown.explanation} wording={wording.data} format={format} /> : <p class="definition">{t("case.gone")}</p>}
            <Neighbours case={shown} format={format} />
            <VerdictForm case={shown} draft={draft} change={write} submit={submit} withdraw={withdraw} wrong={wrong} lacks={lacks} busy={busy} reason={reason} format={format} />
          </article>
        ) : open ? (
          pair.failure && !pair.pending ? <ReadFailed title={t("case.failed")} failure={pair.failure} retry={read} format={format} /> : <CaseSkeleton format={format} />
        ) : queue.data && items.length === 0 ? (
          <QueueEmpty format={format} />
        ) : (
          queue.data && <Nothing format={format} />
        )}
      </div>
    </div>
  );
}

function CaseSkeleton({ format }: { format: Format }) {
  return (
    <div class="panel" role="status">
      <span class="visually-hidden">{format.t("case.loading")}</span>
      <div aria-hidden="true"><div class="bone bone-label" /><div class="bone bone-chart" /></div>
    </div>
  );
}
