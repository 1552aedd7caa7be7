/** The page that shows what a model does. */

import { Sampler } from "../../page/site/network/sampler.js";
import { InspectPage } from "./inspect-page.js";
import { readReport } from "./report.js";

const readText = (id) => document.getElementById(id).textContent;

const sampler = new Sampler(readText("packed-model"));
window.charrnn = new InspectPage(sampler, readReport(readText("report")));
