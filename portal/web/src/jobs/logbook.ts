import type { Line, LogPage } from "./api";

/** What is shown of a log: lines that follow one another. */
export interface Logbook {
  first: number; // number of the first line; 0 is the first that the run printed
  lines: Line[];
}

export const tail = 500; // lines that are shown at first, and more at a time
export const most = 5000; // that a page holds

export const empty: Logbook = { first: 0, lines: [] };

/** The number of the line after the last. */
export const end = (book: Logbook) => book.first + book.lines.length;

export const fromPage = (page: LogPage): Logbook => ({ first: page.first, lines: page.lines });

/** Adds lines that were printed since. next is the number of the line after them: what is there already is not doubled. */
export function append(book: Logbook, lines: Line[], next: number): Logbook {
  const fresh = lines.slice(Math.max(0, lines.length - Math.max(0, next - end(book))));
  if (fresh.length === 0) return book;
  if (next - fresh.length > end(book)) return { first: next - fresh.length, lines: fresh }; // there is a gap: begin anew
  const all = [...book.lines, ...fresh];
  const over = Math.max(0, all.length - most);
  return { first: book.first + over, lines: all.slice(over) };
}

/** Adds lines that were printed before. */
export function prepend(book: Logbook, page: LogPage): Logbook {
  const before = page.lines.slice(0, Math.max(0, book.first - page.first));
  const taken = before.slice(Math.max(0, before.length - (most - book.lines.length)));
  if (taken.length === 0 || page.first + before.length !== book.first) return book;
  return { first: book.first - taken.length, lines: [...taken, ...book.lines] };
}

/** Which lines to ask for to see more of what was before; none when the page holds as many as it can. */
export function earlier(book: Logbook): { after: number; limit: number } {
  const limit = Math.max(0, Math.min(tail, book.first, most - book.lines.length));
  return { after: book.first - limit, limit };
}
