// What draws each screen: a new one is a file and a line here.

export const SCREENS = {
  fleet: () => import("./fleet.js"),
  alerts: () => import("./alerts.js"),
  model: () => import("./model.js"),
  features: () => import("./features.js"),
  segments: () => import("./segments.js"),
  resources: () => import("./resources.js"),
  pipeline: () => import("./pipeline.js"),
};
