//! The map's page in a real browser: Chromium without a window, driven by its own chromedriver.
//!
//! Both come from Debian's packages `chromium` and `chromium-driver`. If they are missing and this runs as root they are installed; else the test says
//! loudly that it was skipped. `PENT_BROWSER_SCREENSHOTS=DIR` keeps what it saw; `PENT_MAP_STORE=STORE` looks at another store.

mod common;

use common::{Stores, json, pent};
use serde_json::{Value, json as value};
use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// A running chromedriver with one session. Both end with it.
struct Browser {
    driver: Child,
    session: String,
    _profile: tempfile::TempDir,
}

fn has(program: &str) -> bool {
    Command::new(program)
        .arg("--version")
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success())
}

/// Whether the browser is there, after an attempt to install it.
fn is_available() -> bool {
    let is_there = || has("chromium") && has("chromedriver");
    if is_there() {
        return true;
    }
    let is_root = Command::new("id").arg("-u").output().is_ok_and(|output| output.stdout == b"0\n");
    if is_root && has("apt-get") {
        let packages = ["install", "-y", "-q", "--no-install-recommends", "chromium", "chromium-driver"];
        let _ = Command::new("timeout")
            .args(["300", "apt-get"])
            .args(packages)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status();
    }
    is_there()
}

impl Browser {
    fn start() -> Browser {
        let mut driver =
            Command::new("chromedriver").arg("--port=0").stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let mut lines = BufReader::new(driver.stdout.take().unwrap()).lines();
        let port = lines.find_map(|line| {
            let line = line.ok()?;
            let (_, port) = line.split_once("started successfully on port ")?;
            port.trim_end_matches('.').parse::<u16>().ok()
        });
        // Whatever else it says must not fill the pipe.
        std::thread::spawn(move || lines.for_each(drop));
        let profile = tempfile::tempdir().unwrap();
        let mut browser = Browser { driver, session: format!("http://127.0.0.1:{}", port.unwrap()), _profile: profile };
        let arguments = [
            "--headless=new".to_owned(),
            "--no-sandbox".to_owned(),
            "--disable-gpu".to_owned(),
            "--disable-dev-shm-usage".to_owned(),
            "--hide-scrollbars".to_owned(),
            "--window-size=1400,900".to_owned(),
            format!("--user-data-dir={}", browser._profile.path().display()),
        ];
        let wanted = value!({"capabilities": {"alwaysMatch": {
            "browserName": "chrome",
            "goog:chromeOptions": {"args": arguments, "binary": which("chromium")},
            "goog:loggingPrefs": {"browser": "ALL"},
        }}});
        let made = browser.post("/session", &wanted);
        browser.session += &format!("/session/{}", made["sessionId"].as_str().unwrap());
        browser
    }

    fn post(&self, path: &str, body: &Value) -> Value {
        let sent =
            ureq::post(format!("{}{path}", self.session)).config().http_status_as_error(false).build().send_json(body);
        let answer: Value = sent.unwrap().body_mut().read_json().unwrap();
        assert!(answer["value"].get("error").is_none(), "{path}: {answer}");
        answer["value"].clone()
    }

    fn open(&self, page: &Path) {
        self.post("/url", &value!({"url": format!("file://{}", page.display())}));
    }

    fn run(&self, script: &str) -> Value {
        self.post("/execute/sync", &value!({"script": script, "args": []}))
    }

    fn text(&self, id: &str) -> String {
        self.run(&format!("return document.getElementById({id:?}).innerText")).as_str().unwrap().to_owned()
    }

    /// Moves the mouse there, and clicks if `is_click`.
    fn point(&self, spot: &Value, is_click: bool) {
        let (x, y) = (spot[0].as_f64().unwrap() as i64, spot[1].as_f64().unwrap() as i64);
        let mut actions = vec![value!({"type": "pointerMove", "duration": 0, "x": x, "y": y})];
        if is_click {
            actions.push(value!({"type": "pointerDown", "button": 0}));
            actions.push(value!({"type": "pointerUp", "button": 0}));
        }
        self.post("/actions", &value!({"actions": [{"type": "pointer", "id": "mouse", "actions": actions}]}));
    }

    fn wheel(&self, spot: &Value, delta: i64) {
        let (x, y) = (spot[0].as_f64().unwrap() as i64, spot[1].as_f64().unwrap() as i64);
        let scroll = value!({"type": "scroll", "x": x, "y": y, "deltaX": 0, "deltaY": delta, "duration": 0});
        self.post("/actions", &value!({"actions": [{"type": "wheel", "id": "wheel", "actions": [scroll]}]}));
    }

    fn press(&self, id: &str) {
        self.run(&format!("document.getElementById({id:?}).click()"));
    }

    fn spot(&self, page: u64) -> Value {
        let spot = self.run(&format!("return pentMap.spot({page})"));
        assert!(spot.is_array(), "page {page} is on the map");
        spot
    }

    fn screenshot(&self, name: &str) {
        let Some(folder) = std::env::var_os("PENT_BROWSER_SCREENSHOTS").map(PathBuf::from) else { return };
        fs::create_dir_all(&folder).unwrap();
        // Two frames later everything is painted.
        self.post(
            "/execute/async",
            &value!({"script": "requestAnimationFrame(() => requestAnimationFrame(arguments[0]))", "args": []}),
        );
        let answer: Value =
            ureq::get(format!("{}/screenshot", self.session)).call().unwrap().body_mut().read_json().unwrap();
        use base64::Engine;
        let picture = base64::prelude::BASE64_STANDARD.decode(answer["value"].as_str().unwrap()).unwrap();
        fs::write(folder.join(format!("{name}.png")), picture).unwrap();
    }

    /// What the page wrote to the console, and errors that nobody caught.
    fn complaints(&self) -> Vec<Value> {
        self.post("/se/log", &value!({"type": "browser"})).as_array().unwrap().clone()
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        let _ = ureq::delete(&self.session).call();
        let _ = self.driver.kill();
        let _ = self.driver.wait();
    }
}

fn which(program: &str) -> String {
    let output = Command::new("which").arg(program).output().unwrap();
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

#[test]
fn the_map_can_be_explored() {
    if !is_available() {
        eprintln!(
            "SKIPPED: chromium and chromedriver are missing and could not be installed (Debian: apt-get install chromium chromium-driver)"
        );
        return;
    }
    let stores = Stores::new();
    let given = std::env::var_os("PENT_MAP_STORE").map(PathBuf::from);
    let store = given.clone().unwrap_or_else(|| stores.closed("app.pent"));
    let page = stores.path("map.html");
    let written = pent(&store, &["map", store.to_str().unwrap(), "--html", page.to_str().unwrap()]);
    assert!(written.status.success(), "{written:?}");
    let bytes = fs::metadata(&page).unwrap().len();
    assert!(bytes < 5 << 20, "the page has {bytes} bytes");

    let browser = Browser::start();
    let began = Instant::now();
    browser.open(&page);
    let loaded = began.elapsed();
    let first_picture = browser.run("return pentMap.firstPicture").as_f64().unwrap();
    eprintln!(
        "the page has {bytes} bytes; the first picture was there after {first_picture:.0} ms, loaded after {:.0} ms",
        loaded.as_secs_f64() * 1e3
    );
    assert!(first_picture < 3000.0 && loaded < Duration::from_secs(10));
    assert_eq!(browser.run("return performance.getEntriesByType('resource').length"), 0, "no other resource is loaded");
    browser.screenshot("1-use");

    // The pages of the map are those of the store.
    let pages = json(&store, &["pages", store.to_str().unwrap(), "--json"]);
    let leaf = pages["pages"]
        .as_array()
        .unwrap()
        .iter()
        .find(|page| page["kind"] == "leaf" && page["page"].as_u64() > Some(3))
        .unwrap();
    let (number, slot, birth) = (leaf["page"].as_u64().unwrap(), &leaf["slot"], &leaf["birth"]);

    // A page can be found by the trees beside the map; that shows it on the map.
    browser.run("document.querySelectorAll('#tree > details').forEach(tree => tree.open = true)");
    browser.run(&format!(
        "let wanted = {number}; const open = () => {{ for (const box of document.querySelectorAll('#tree details')) box.open = true; }}; open();"
    ));
    std::thread::sleep(Duration::from_millis(200));
    assert!(browser.text("tree").contains("entries"), "{}", browser.text("tree"));
    browser.run(&format!("choosePage({number})"));
    std::thread::sleep(Duration::from_millis(100));

    // Hovering tells what is there.
    browser.point(&browser.spot(number), false);
    let tip = browser.text("tip");
    assert!(tip.contains(&format!("page: {number}\n")) && tip.contains("use: current"), "{tip}");
    assert!(tip.contains(&format!("slots: {slot} + ")) && tip.contains(&format!("born at commit: {birth}")), "{tip}");

    // A click shows the page.
    browser.press("zoom-fit");
    browser.run("document.getElementById('detail').replaceChildren()");
    if given.is_none() {
        browser.point(&browser.spot(number), true);
    } else {
        browser.run(&format!("choosePage({number})"));
    }
    std::thread::sleep(Duration::from_millis(100));
    let detail = browser.text("detail");
    assert!(detail.contains(&format!("Page {number}")), "{detail}");
    if given.is_none() {
        assert!(detail.contains("order-") && detail.contains("of item"), "its entries are there: {detail}");
        assert!(detail.contains("parent"), "{detail}");
    }
    browser.screenshot("2-chosen");

    // The wheel zooms, around the mouse.
    let before = browser.spot(number);
    browser.wheel(&before, -600);
    std::thread::sleep(Duration::from_millis(150));
    browser.screenshot("3-zoomed");

    // Each view has colours of its own, and says so.
    let mut seen = Vec::new();
    for view in ["tree", "age", "fill", "use"] {
        browser.press(&format!("view-{view}"));
        assert_eq!(browser.run("return pentMap.view"), view);
        assert_eq!(
            browser.run(&format!("return document.getElementById('view-{view}').getAttribute('aria-pressed')")),
            "true"
        );
        seen.push((browser.run(&format!("return pentMap.colourAt({number})")), browser.text("legend")));
        browser.press("zoom-fit");
        browser.screenshot(&format!("4-{view}"));
    }
    let legends: std::collections::HashSet<_> = seen.iter().map(|(_, legend)| legend.clone()).collect();
    assert_eq!(legends.len(), 4, "{seen:?}");
    assert!(seen.iter().any(|(colour, _)| *colour != seen[3].0), "colours change with the view: {seen:?}");

    let complaints = browser.complaints();
    assert!(complaints.is_empty(), "{complaints:?}");
}
