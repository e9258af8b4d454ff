/** What a chart shows, as a table: the same model makes the table view and the CSV, so that they cannot differ. */
export interface TableModel {
  caption: string;
  head: string[];
  units: string[]; // of the raw figures, by column; "" where there is none. People see the unit in each cell
  rows: Cell[][];
}

export interface Cell {
  text: string; // for people
  raw?: number | null | undefined; // for the CSV; a missing figure is an empty cell there
  numeric?: boolean;
}

export const words = (text: string): Cell => ({ text });
export const figure = (text: string, raw: number | null | undefined): Cell => ({ text, raw, numeric: true });

/** RFC 4180 with a byte order mark (Excel), and safe against cells that a spreadsheet would run as formulas. */
export function csv(table: TableModel): string {
  const lines = [table.head.map((head, i) => quote(table.units[i] ? `${head} (${table.units[i]})` : head)), ...table.rows.map((row) => row.map(cell))];
  return "\ufeff" + lines.map((line) => line.join(",") + "\r\n").join("");
}

function cell(c: Cell): string {
  if (c.numeric) return c.raw === null || c.raw === undefined ? "" : String(c.raw);
  return quote(c.text);
}

function quote(text: string): string {
  const safe = /^ *[=+\-@\t\r\n＝＋－＠]/.test(text) ? `'${text}` : text;
  return /[",\r\n]/.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe;
}

/** The unit of a raw difference. */
export const changeUnit = (unit: string) => (unit === "share" ? "percentage points" : "share");

export function download(fileName: string, table: TableModel): void {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([csv(table)], { type: "text/csv;charset=utf-8" }));
  link.download = fileName;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
}
