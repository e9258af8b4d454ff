import { render } from "preact";
import "./style/tokens.css";
import "./style/page.css";
import "./style/parts.css";
import "./style/wall.css";
import "./style/review.css";
import "./style/case.css";
import "./style/jobs.css";
import "./style/job.css";
import "./style/evaluation.css";
import "./style/figures.css";
import "./style/process.css";
import "./style/sharing.css";

// Each page brings what it needs, so that none waits for the code of the others.
const pages: Record<string, () => Promise<() => preact.JSX.Element>> = {
  "/figures": async () => (await import("./figures/app")).FiguresApp,
  "/evaluation": async () => (await import("./evaluation/app")).EvaluationApp,
  "/process": async () => (await import("./process/app")).ProcessApp,
  "/review": async () => (await import("./review/app")).ReviewApp,
  "/catalogue": async () => (await import("./sharing/catalogue")).CatalogueApp,
  "/sharing": async () => (await import("./sharing/requests")).RequestsApp,
  "/window": async () => (await import("./sharing/window")).WindowApp,
  "/supervision": async () => (await import("./sharing/supervision")).SupervisionApp,
  "/jobs": async () => (await import("./jobs/app")).JobsApp,
};
const overview = async () => (await import("./app")).App;
const Page = await (pages[location.pathname] ?? overview)();

render(<Page />, document.getElementById("app")!);
