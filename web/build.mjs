// Bundles the page: node build.mjs OUTPUT [MODULES [SOURCE]]
//
// OUTPUT gets index.html, page.js and page.css, which need nothing else. MODULES is the node_modules
// folder to take js-libp2p and esbuild from, by default the one beside this file. SOURCE is the folder of
// another page in its place: index.html, main.js, style.css.

import { copyFile, mkdir, readFile, stat } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { dirname, join, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import { gzipSync } from 'node:zlib'

const here = dirname(fileURLToPath(import.meta.url))
const [output, modules = join(here, 'node_modules'), source = join(here, 'src')] = process.argv.slice(2)
if (output == null) {
  console.error('usage: node build.mjs OUTPUT [MODULES [SOURCE]]')
  process.exit(2)
}

const { version } = JSON.parse(await readFile(join(here, 'package.json'), 'utf8'))
const { build } = createRequire(resolve(modules, 'from.js'))('esbuild')

await mkdir(output, { recursive: true })
await build({
  entryPoints: [
    { in: join(source, 'main.js'), out: 'page' },
    { in: join(source, 'style.css'), out: 'page' }
  ],
  outdir: output,
  bundle: true,
  minify: true,
  format: 'esm',
  target: 'es2022',
  legalComments: 'eof',
  nodePaths: [resolve(modules)],
  define: { PAGE_VERSION: JSON.stringify(version) },
  logLevel: 'warning'
})
await copyFile(join(source, 'index.html'), join(output, 'index.html'))

for (const name of ['index.html', 'page.js', 'page.css']) {
  const path = join(output, name)
  const packed = gzipSync(await readFile(path)).length
  console.log(`${path}: ${(await stat(path)).size} bytes, ${packed} with gzip`)
}
