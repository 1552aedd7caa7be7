import { openPage } from "./page.js";
import { httpWriter } from "./writer-http.js";

openPage(httpWriter());
