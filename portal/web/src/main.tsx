import { render } from "preact";
import { App } from "./app";
import { EvaluationApp } from "./evaluation/app";
import { JobsApp } from "./jobs/app";
import { ReviewApp } from "./review/app";
import "./style/tokens.css";
import "./style/page.css";
import "./style/parts.css";
import "./style/wall.css";
import "./style/review.css";
import "./style/case.css";
import "./style/jobs.css";
import "./style/job.css";
import "./style/evaluation.css";

const pages: Record<string, () => preact.JSX.Element> = { "/review": ReviewApp, "/jobs": JobsApp, "/evaluation": EvaluationApp };
const Page = pages[location.pathname] ?? App;

render(<Page />, document.getElementById("app")!);
