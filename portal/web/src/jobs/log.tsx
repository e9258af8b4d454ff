import { useEffect, useRef, useState } from "preact/hooks";
import { Failure, getJSON } from "../api";
import type { Format } from "../logic/format";
import { sentence } from "../parts/states";
import { isOver, runURL, type Line, type LogPage, type Run } from "./api";
import { append, earlier, empty, end, fromPage, prepend, tail, type Logbook } from "./logbook";

interface LogViewProps {
  run: Run;
  expire: () => void;
  format: Format;
}

/** What a run printed: its end at first, what was before on request, and what it prints as it prints it. */
export function LogView({ run, expire, format }: LogViewProps) {
  const t = format.t;
  const log = useLog(run, expire);
  const [follow, setFollow] = useState(true);
  const box = useRef<HTMLDivElement>(null);
  const { book } = log;
  useEffect(() => {
    if (follow && box.current) box.current.scrollTop = box.current.scrollHeight;
  }, [book, follow]);
  const more = async () => {
    setFollow(false);
    const before = box.current!.scrollHeight - box.current!.scrollTop;
    await log.more();
    requestAnimationFrame(() => box.current && (box.current.scrollTop = box.current.scrollHeight - before)); // what was read stays where it was
  };
  return (
    <div class="log">
      <div class="log-head">
        <h3 id="log-title">{t("jobs.log")}</h3>
        <span class="log-note" role="status">{log.failure ? sentence(log.failure, format) : log.live ? t("jobs.logLive") : log.read ? t("jobs.logLines", { n: format.number(end(book)) }) : t("review.reading")}</span>
        <label class="log-follow"><input type="checkbox" checked={follow} onChange={(e) => setFollow(e.currentTarget.checked)} />{t("jobs.follow")}</label>
      </div>
      <div
        ref={box}
        class="log-box"
        role="log"
        aria-live="off"
        aria-labelledby="log-title"
        tabIndex={0}
        onScroll={(e) => {
          const b = e.currentTarget;
          const atEnd = b.scrollHeight - b.scrollTop - b.clientHeight < 24;
          if (!atEnd && follow && log.read) setFollow(false);
          if (atEnd && !follow && log.live) setFollow(true);
        }}
      >
        {book.first > 0 && earlier(book).limit === 0 && <p class="absent">{t("jobs.logMore", { n: format.number(book.first) })} <code>{`shire jobs logs ${run.id}`}</code></p>}
        {earlier(book).limit > 0 && <button type="button" class="quiet bordered" onClick={() => void more()}>{t("jobs.logEarlier", { n: format.number(earlier(book).limit) })}</button>}
        {log.read && book.lines.length === 0 && <p class="absent">{t(isOver(run.outcome) ? "jobs.logEmpty" : "jobs.logWaits")}</p>}
        {book.lines.map((line, i) => <LogLine key={book.first + i} line={line} before={book.lines[i - 1]} format={format} />)}
      </div>
    </div>
  );
}

const clocks = new Map<string, Intl.DateTimeFormat>();

function clock(zone: string): Intl.DateTimeFormat {
  let c = clocks.get(zone);
  if (!c) clocks.set(zone, (c = new Intl.DateTimeFormat("en-GB", { hour: "2-digit", minute: "2-digit", second: "2-digit", hourCycle: "h23", timeZone: zone })));
  return c;
}

function LogLine({ line, before, format }: { line: Line; before: Line | undefined; format: Format }) {
  return (
    <>
      {before && before.attempt !== line.attempt && <div class="log-attempt">{format.t("jobs.attempt", { n: line.attempt })}</div>}
      <div class="log-line"><time dateTime={line.at}>{clock(format.zone).format(new Date(line.at))}</time><span>{line.text}</span></div>
    </>
  );
}

interface Log {
  book: Logbook;
  read: boolean; // what was there at first is here
  live: boolean;
  failure: Failure | null;
  more: () => Promise<void>;
}

/** Reads the end of a log and follows it while the run is not over; after another attempt of a run it goes on. */
function useLog(run: Run, expire: () => void): Log {
  const url = `${runURL(run.id)}/log`;
  const [book, setBook] = useState(empty);
  const [read, setRead] = useState(false);
  const [live, setLive] = useState(false);
  const [failure, setFailure] = useState<Failure | null>(null);
  const over = isOver(run.outcome);
  const latest = useRef(book);
  latest.current = book;
  useEffect(() => {
    const abort = new AbortController();
    let source: EventSource | null = null;
    const fail = (error: unknown) => {
      if (abort.signal.aborted) return;
      const f = error instanceof Failure ? error : new Failure(String(error));
      if (f.code === "signed_out") expire();
      setFailure(f);
    };
    const follow = (after: number) => {
      source = new EventSource(`${url}/stream?after=${after}`);
      source.onopen = () => setLive(true);
      source.addEventListener("lines", (e) => setBook((b) => append(b, JSON.parse(e.data) as Line[], Number(e.lastEventId))));
      source.addEventListener("over", () => {
        setLive(false);
        source?.close();
      });
      source.addEventListener("signed_out", () => {
        source?.close();
        expire();
      });
      source.onerror = () => {
        setLive(false); // the browser asks again by itself, from the last line on; a refusal it takes as final
        if (source?.readyState === EventSource.CLOSED) getJSON<LogPage>(`${url}?tail=1`, abort.signal).then(() => setFailure(new Failure("")), fail);
      };
    };
    const first = latest.current.lines.length === 0;
    getJSON<LogPage>(first ? `${url}?tail=${tail}` : `${url}?after=${end(latest.current)}&limit=2000`, abort.signal).then((page) => {
      if (abort.signal.aborted) return;
      setBook((b) => (first ? fromPage(page) : append(b, page.lines, page.first + page.lines.length)));
      setRead(true);
      setFailure(null);
      if (!over) follow(page.first + page.lines.length);
    }, fail);
    return () => {
      abort.abort();
      source?.close();
      setLive(false);
    };
  }, [url, over, expire]);
  const more = async () => {
    const { after, limit } = earlier(latest.current);
    try {
      const page = await getJSON<LogPage>(`${url}?after=${after}&limit=${limit}`, new AbortController().signal);
      setBook((b) => prepend(b, page));
    } catch (error) {
      setFailure(error instanceof Failure ? error : new Failure(String(error)));
    }
  };
  return { book, read, live, failure, more };
}
