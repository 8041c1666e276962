// Tiles of JupyterLab's launcher that lead to the portal. A module federation container written by hand, so that
// it needs no build: JupyterLab calls init() with its shared packages and get() for the extension.
(() => {
  const CATEGORY = "Atrium";
  const TILES = [
    { id: "job", en: "Submit as job", zh: "提交为作业", path: (id, file) => `/workspaces/${id}/run/${asked(file)}`, icon: "M8 5v14l11-7z" },
    { id: "model", en: "Register model", zh: "登记模型", path: (id, file) => (id ? `/workspaces/${id}/register/${asked(file)}` : "/catalog/new/"), icon: "M12 2 3 7v10l9 5 9-5V7zm0 2.3L18.5 8 12 11.6 5.5 8zM5 9.7l6 3.4v6.1l-6-3.3zm8 9.5v-6.1l6-3.4v6.2z" },
    { id: "datasets", en: "Data sets", zh: "数据集", path: () => "/datasets/", icon: "M12 3c-4.4 0-8 1.3-8 3v12c0 1.7 3.6 3 8 3s8-1.3 8-3V6c0-1.7-3.6-3-8-3zm0 2c3.9 0 6 1 6 1s-2.1 1-6 1-6-1-6-1 2.1-1 6-1zM6 8.3C7.5 8.8 9.6 9 12 9s4.5-.2 6-.7V12s-2.1 1-6 1-6-1-6-1zm0 6C7.5 14.8 9.6 15 12 15s4.5-.2 6-.7V18s-2.1 1-6 1-6-1-6-1z" },
    { id: "portal", en: "Portal", zh: "门户", path: () => "/", icon: "M4 4h7v7H4zm9 0h7v7h-7zM4 13h7v7H4zm9 0h7v7h-7z" },
  ];

  const asked = (file) => (file ? `?path=${encodeURIComponent(file)}` : "");

  let shared = {};

  async function take(name) {
    const version = Object.values(shared[name] ?? {})[0];
    return (await version.get())();
  }

  function configuration() {
    const element = document.getElementById("jupyter-config-data");
    return element ? JSON.parse(element.textContent) : {};
  }

  // The file that a tile is about: what is selected in the file browser, else the document that was looked at last,
  // for the launcher itself stands before both. A shared document's path begins with its drive.
  function fileInHand(app, browser) {
    let seen = "";
    const look = () => {
      const path = app.shell.currentWidget?.context?.path;
      if (path) seen = path;
    };
    app.shell.currentChanged?.connect(look);
    look();
    return () => {
      const selected = browser ? [...browser.selectedItems()].map((item) => item.path) : [];
      return (selected.length === 1 ? selected[0] : seen).replace(/^[^/:]+:/, "");
    };
  }

  function add(app, launcher, LabIcon, browser) {
    const { atriumPortal, fullLocale, locale } = configuration();
    if (!atriumPortal) return;
    const workspace = location.hostname.match(/^w(\d+)\./)?.[1];
    const file = fileInHand(app, browser);
    const chinese = `${document.documentElement.lang} ${locale ?? ""} ${fullLocale ?? ""}`.includes("zh");
    TILES.forEach((tile, rank) => {
      if (tile.id === "job" && !workspace) return;
      const command = `atrium:${tile.id}`;
      const svgstr = `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 24 24" width="24"><path class="jp-icon3" fill="#616161" d="${tile.icon}"/></svg>`;
      app.commands.addCommand(command, {
        label: chinese ? tile.zh : tile.en,
        icon: new LabIcon({ name: command, svgstr }),
        execute: () => window.open(atriumPortal + tile.path(workspace, file()), "_blank", "noopener"),
      });
      launcher.add({ command, category: CATEGORY, rank });
    });
  }

  window._JUPYTERLAB = window._JUPYTERLAB ?? {};
  window._JUPYTERLAB["@atrium/tiles"] = {
    init(scope) {
      shared = scope;
    },
    async get() {
      const { ILauncher } = await take("@jupyterlab/launcher");
      const { LabIcon } = await take("@jupyterlab/ui-components");
      const { IDefaultFileBrowser } = await take("@jupyterlab/filebrowser");
      const plugin = {
        id: "@atrium/tiles:plugin",
        description: "Tiles that lead to the portal.",
        autoStart: true,
        optional: [ILauncher, IDefaultFileBrowser],
        activate: (app, launcher, browser) => launcher && add(app, launcher, LabIcon, browser),
      };
      return () => ({ __esModule: true, default: plugin });
    },
  };
})();
