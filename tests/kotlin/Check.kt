// Runs docs/examples/android/Inspection.kt on files: what tests/test_kotlin_example.py compiles and calls.
//
//     fit MODEL PIXELS ROWS COLUMNS ORIENTATION OUT     int32 in, uint8 RGB out; prints what shows the picture
//     score MODEL FOLDER HEIGHT WIDTH                   float32 in NAME.ROWS.COLUMNS; prints score, threshold

package uadx

import java.io.File
import java.nio.ByteBuffer
import java.nio.ByteOrder

// MODEL: a line of numbers (height, width, smoothing, top_fraction, rate), lines NAME LOW HIGH WEIGHT, then the scores.
fun read(file: String): Model {
    val lines = File(file).readLines().map { it.split(" ") }
    val (height, width, smoothing, top, rate) = lines.first().map { it.toDouble() }
    val levels = lines.subList(1, 4).map { Level(it[0], it[1].toDouble(), it[2].toDouble(), it[3].toDouble()) }
    val threshold = conformalThreshold(lines[4].map { it.toDouble() }, rate)
    return Model(height.toInt(), width.toInt(), smoothing, top, threshold, levels)
}

fun bytes(file: String): ByteBuffer = ByteBuffer.wrap(File(file).readBytes()).order(ByteOrder.LITTLE_ENDIAN)

fun main(arguments: Array<String>) {
    val model = read(arguments[1])
    if (arguments[0] == "fit") {
        val pixels = bytes(arguments[2]).asIntBuffer().let { buffer -> IntArray(buffer.remaining()) { buffer.get() } }
        val picture = Pixels(pixels, arguments[3].toInt(), arguments[4].toInt())
        val fitted = letterboxed(upright(picture, arguments[5].toInt()), model)
        File(arguments[6]).writeBytes(fitted.rgb)
        println("${fitted.shownHeight} ${fitted.shownWidth}")
    } else {
        val maps = File(arguments[2]).listFiles()!!.associate { file ->
            val (name, rows, columns) = file.name.split(".")
            val buffer = bytes(file.path).asFloatBuffer()
            val values = DoubleArray(buffer.remaining()) { buffer.get().toDouble() }
            name to Matrix(rows.toInt(), columns.toInt(), values)
        }
        val fitted = Fitted(ByteArray(0), arguments[3].toInt(), arguments[4].toInt())
        println("${score(anomalyMap(maps, model), fitted, model)} ${model.threshold}")
    }
}
