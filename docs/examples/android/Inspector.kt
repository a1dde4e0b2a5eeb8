// Inspects pictures with a uadx bundle on Android through ONNX Runtime; the arithmetic is in Inspection.kt.
//
// build.gradle.kts:  implementation("com.microsoft.onnxruntime:onnxruntime-android:1.23.2")
//
// Compiled against the signatures of ONNX Runtime's Java API and Android's, and run nowhere: see docs/edge.md.

package uadx

import ai.onnxruntime.OnnxJavaType
import ai.onnxruntime.OnnxTensor
import ai.onnxruntime.OrtEnvironment
import android.graphics.Bitmap
import android.graphics.BitmapFactory
import android.media.ExifInterface
import java.io.File
import java.nio.ByteBuffer
import org.json.JSONObject

class Inspected(val score: Double, val isAnomaly: Boolean, val map: Matrix)

/** folder: manifest.json and stfpm.ort of a bundle, such as the app has copied from its assets to filesDir. */
class Inspector(folder: File) : AutoCloseable {
    val model = readModel(File(folder, "manifest.json"))
    private val environment = OrtEnvironment.getEnvironment()
    private val session = environment.createSession(File(folder, "stfpm.ort").path)

    fun inspect(picture: Pixels): Inspected {
        val fitted = letterboxed(picture, model)
        val input = ByteBuffer.allocateDirect(fitted.rgb.size).apply { put(fitted.rgb); rewind() }
        val shape = longArrayOf(1, model.height.toLong(), model.width.toLong(), 3)
        val maps = OnnxTensor.createTensor(environment, input, shape, OnnxJavaType.UINT8).use { image ->
            session.run(mapOf("image" to image)).use { outputs ->
                model.levels.associate { level ->
                    val output = outputs.get(level.name).get() as OnnxTensor
                    val (_, rows, columns) = output.info.shape
                    val buffer = output.floatBuffer
                    val values = DoubleArray(buffer.remaining()) { buffer.get(it).toDouble() }
                    level.name to Matrix(rows.toInt(), columns.toInt(), values)
                }
            }
        }
        val map = anomalyMap(maps, model)
        val score = score(map, fitted, model)
        return Inspected(score, score > model.threshold, map)
    }

    override fun close() = session.close()
}

fun readModel(file: File): Model {
    val manifest = JSONObject(file.readText())
    val input = manifest.getJSONObject("input")
    require(input.getString("fit") == "letterbox" && input.isNull("tiling")) { "only whole, letterboxed images" }
    val scoring = manifest.getJSONObject("scoring")
    val levels = scoring.getJSONObject("levels")
    val scores = manifest.getJSONObject("calibration").getJSONArray("quantile")
    return Model(
        input.getInt("height"), input.getInt("width"),
        scoring.getDouble("smoothing"), scoring.getDouble("top_fraction"),
        conformalThreshold(List(scores.length()) { scores.getDouble(it) }, manifest.getDouble("default_fpr")),
        listOf("level1", "level2", "level3").map { name ->
            val level = levels.getJSONObject(name)
            Level(name, level.getDouble("low"), level.getDouble("high"), level.getDouble("weight"))
        },
    )
}

/** A picture as uadx decodes it: colours as stored, also below alpha, and upright. Null where it is no picture. */
fun readPicture(file: File): Pixels? {
    val asStored = BitmapFactory.Options().apply {
        inPremultiplied = false
        inScaled = false
        inPreferredConfig = Bitmap.Config.ARGB_8888
    }
    val bitmap = BitmapFactory.decodeFile(file.path, asStored) ?: return null
    val pixels = IntArray(bitmap.width * bitmap.height)
    bitmap.getPixels(pixels, 0, bitmap.width, 0, 0, bitmap.width, bitmap.height)
    val orientation = ExifInterface(file.path).getAttributeInt(ExifInterface.TAG_ORIENTATION, 1)
    return upright(Pixels(pixels, bitmap.height, bitmap.width), orientation)
}
