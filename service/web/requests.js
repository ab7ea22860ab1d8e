/**
 * The request for a prediction, for a terminal and for Python.
 *
 * @typedef {object} Asked
 * @property {URL} home of the service
 * @property {string} model
 * @property {{name: string, type: string}[]} files one, or left and right
 * @property {boolean} withKey whether the service needs a key
 */

/**
 * @param {Asked} asked
 * @returns {string}
 */
export function curlOf({ home, model, files, withKey }) {
  const key = withKey ? ` -H "Authorization: Bearer $MATCAPS_KEY"` : '';
  const url = quoted(new URL(`predict?model=${encodeURIComponent(model)}`, home).href);
  if (files.length === 1) {
    const [{ name, type }] = files;
    return `curl --data-binary ${quoted(`@${name}`)} -H ${quoted(`Content-Type: ${type}`)}${key} ${url}`;
  }
  const form = files.map(({ name, type }) => `-F ${quoted(`images=@${quotedForForm(name)};type=${type}`)}`);
  return `curl ${form.join(' ')}${key} ${url}`;
}

/**
 * @param {Asked} asked
 * @returns {string}
 */
export function pythonOf({ home, model, files, withKey }) {
  const url = new URL(`predict?model=${encodeURIComponent(model)}`, home).href;
  const names = files.map(({ name }) => JSON.stringify(name)).join(', ');
  const key = withKey ? ', "Authorization": "Bearer " + os.environ["MATCAPS_KEY"]' : '';
  return `import base64, json, ${withKey ? 'os, ' : ''}urllib.request

images = [base64.b64encode(open(name, "rb").read()).decode() for name in [${names}]]
request = urllib.request.Request(
    ${JSON.stringify(url)},
    json.dumps({"images": images}).encode(),
    {"Content-Type": "application/json"${key}},
)
(prediction,) = json.load(urllib.request.urlopen(request))["predictions"]
print(prediction["label"], prediction["activations"])
`;
}

/** @param {string} name of a file, in which curl's forms take a semicolon or a comma for its end */
function quotedForForm(name) {
  return /[;,"\\]/.test(name) ? `"${name.replaceAll(/["\\]/g, '\\$&')}"` : name;
}

/** @param {string} text for a shell */
function quoted(text) {
  return `'${text.replaceAll("'", "'\\''")}'`;
}
