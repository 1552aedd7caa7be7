/** The page that shows what a model does. */

import { createSampler } from "../../page/site/network/network-sampler.js";
import { InspectPage } from "./inspect-page.js";
import { readReport } from "./report.js";

const readText = (id) => document.getElementById(id).textContent;

const sampler = createSampler(readText("packed-model"));
window.charrnn = new InspectPage(sampler, readReport(readText("report")));
