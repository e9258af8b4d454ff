import { render } from "preact";
import { App } from "./app";
import "./style/tokens.css";
import "./style/page.css";
import "./style/parts.css";
import "./style/wall.css";

render(<App />, document.getElementById("app")!);
