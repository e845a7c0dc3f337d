"""Results as pictures: choose → series → colors → spec (Vega-Lite) → draw (SVG, PNG)."""
