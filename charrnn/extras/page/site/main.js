import { openPage } from "./page.js";
import { createHttpWriter } from "./writer-http.js";

openPage(createHttpWriter());
