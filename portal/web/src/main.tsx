import { render } from "preact";
import { App } from "./app";
import { ReviewApp } from "./review/app";
import "./style/tokens.css";
import "./style/page.css";
import "./style/parts.css";
import "./style/wall.css";
import "./style/review.css";
import "./style/case.css";

render(location.pathname === "/review" ? <ReviewApp /> : <App />, document.getElementById("app")!);
