import { Connection } from "./connection.js";
import { openPage } from "./page.js";
import { createHttpWriter } from "./writer-http.js";

document.querySelector("#learn-link").href = "learn"; // only a server has this page
openPage(createHttpWriter(new Connection()));
