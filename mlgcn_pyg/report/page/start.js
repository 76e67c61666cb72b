// Starts the parts of the page. The scripts above are within the same function.

document.documentElement.classList.add("scripted");
const page = JSON.parse(byId("page-data").textContent);
startTables();
startCopying();
startGraph(page);
if (typeof Plotly !== "undefined") startPlots(page);
