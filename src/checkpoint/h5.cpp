// The few HDF5 calls checkpoints need, wrapped; used by rank files only.
#include "h5.hpp"

#include "mtrain/checkpoint/inspect.hpp"

namespace mtrain::checkpoint::h5 {
namespace {

constexpr size_t kMaxString = 1 << 16;
constexpr hssize_t kMaxIntegers = 64;

herr_t keep_first(unsigned, const H5E_error2_t* error, void* text) {
  auto& cause = *static_cast<std::string*>(text);
  if (cause.empty() && error->desc) cause = error->desc;
  return 0;
}

AttributeHandle open_attribute(hid_t object, const char* name) {
  AttributeHandle attribute(H5Aopen(object, name, H5P_DEFAULT));
  if (!attribute.valid()) throw Error(cat("has no attribute \"", name, "\""));
  return attribute;
}

}  // namespace

Quiet::Quiet() {
  H5PLset_loading_state(0);
  H5Eget_auto2(H5E_DEFAULT, &print_, &data_);
  H5Eset_auto2(H5E_DEFAULT, nullptr, nullptr);
}

Quiet::~Quiet() {
  H5Eset_auto2(H5E_DEFAULT, print_, data_);
}

std::string last_error() {
  std::string cause;
  H5Ewalk2(H5E_DEFAULT, H5E_WALK_UPWARD, keep_first, &cause);
  return cause.empty() ? "unknown HDF5 failure" : cause;
}

SpaceHandle make_space(const std::vector<int64_t>& extents) {
  if (extents.empty())
    return SpaceHandle(checked(H5Screate(H5S_SCALAR), "make a dataspace"));
  const std::vector<hsize_t> dims(extents.begin(), extents.end());
  const int rank = static_cast<int>(dims.size());
  return SpaceHandle(
      checked(H5Screate_simple(rank, dims.data(), nullptr), "make a dataspace"));
}

std::vector<int64_t> space_extents(hid_t space) {
  const H5S_class_t kind = H5Sget_simple_extent_type(space);
  if (kind == H5S_SCALAR) return {};
  if (kind != H5S_SIMPLE) throw Error("has neither a simple nor a scalar dataspace");
  const int rank = checked(H5Sget_simple_extent_ndims(space), "read a rank");
  std::vector<hsize_t> dims(static_cast<size_t>(rank));
  std::vector<hsize_t> limits(dims.size());
  checked(H5Sget_simple_extent_dims(space, dims.data(), limits.data()), "read extents");
  if (dims != limits) throw Error("has extents that can grow");
  return std::vector<int64_t>(dims.begin(), dims.end());
}

void write_attribute(hid_t object, const char* name, const std::vector<int64_t>& values) {
  const std::vector<hsize_t> dims{values.size()};
  const SpaceHandle space(
      checked(H5Screate_simple(1, dims.data(), nullptr), "make a dataspace"));
  const AttributeHandle attribute(checked(
      H5Acreate2(object, name, H5T_STD_I64LE, space.get(), H5P_DEFAULT, H5P_DEFAULT),
      cat("create attribute ", name)));
  if (!values.empty())
    checked(H5Awrite(attribute.get(), H5T_NATIVE_INT64, values.data()),
            cat("write attribute ", name));
}

void write_attribute(hid_t object, const char* name, int64_t value) {
  const SpaceHandle space = make_space({});
  const AttributeHandle attribute(checked(
      H5Acreate2(object, name, H5T_STD_I64LE, space.get(), H5P_DEFAULT, H5P_DEFAULT),
      cat("create attribute ", name)));
  checked(H5Awrite(attribute.get(), H5T_NATIVE_INT64, &value),
          cat("write attribute ", name));
}

void write_attribute(hid_t object, const char* name, const std::string& value) {
  const SpaceHandle space = make_space({});
  const TypeHandle type(checked(H5Tcopy(H5T_C_S1), "make a string type"));
  checked(H5Tset_size(type.get(), value.size() + 1), "size a string type");
  checked(H5Tset_cset(type.get(), H5T_CSET_UTF8), "make a string type UTF-8");
  const AttributeHandle attribute(
      checked(H5Acreate2(object, name, type.get(), space.get(), H5P_DEFAULT, H5P_DEFAULT),
              cat("create attribute ", name)));
  checked(H5Awrite(attribute.get(), type.get(), value.c_str()),
          cat("write attribute ", name));
}

std::vector<int64_t> read_integers(hid_t object, const char* name) {
  const AttributeHandle attribute = open_attribute(object, name);
  const TypeHandle type(checked(H5Aget_type(attribute.get()), "read a type"));
  const SpaceHandle space(checked(H5Aget_space(attribute.get()), "read a dataspace"));
  const hssize_t count = H5Sget_simple_extent_npoints(space.get());
  if (H5Tget_class(type.get()) != H5T_INTEGER || count < 0 || count > kMaxIntegers)
    throw Error(cat("attribute \"", name, "\" is no short list of integers"));
  std::vector<int64_t> values(static_cast<size_t>(count));
  if (count > 0)
    checked(H5Aread(attribute.get(), H5T_NATIVE_INT64, values.data()),
            cat("read attribute ", name));
  return values;
}

std::string read_string(hid_t object, const char* name) {
  const AttributeHandle attribute = open_attribute(object, name);
  const TypeHandle type(checked(H5Aget_type(attribute.get()), "read a type"));
  const SpaceHandle space(checked(H5Aget_space(attribute.get()), "read a dataspace"));
  const size_t size = H5Tget_size(type.get());
  if (H5Tget_class(type.get()) != H5T_STRING || H5Tis_variable_str(type.get()) != 0 ||
      H5Sget_simple_extent_npoints(space.get()) != 1 || size > kMaxString)
    throw Error(cat("attribute \"", name, "\" is no string of fixed length"));
  std::string value(size, '\0');
  checked(H5Aread(attribute.get(), type.get(), value.data()),
          cat("read attribute ", name));
  return value.substr(0, value.find('\0'));
}

}  // namespace mtrain::checkpoint::h5

namespace mtrain::checkpoint {

std::string hdf5_library() {
  unsigned major = 0, minor = 0, release = 0;
  hbool_t threads = false;
  H5get_libversion(&major, &minor, &release);
  H5is_library_threadsafe(&threads);
  return cat("HDF5 ", major, ".", minor, ".", release, ", ",
             threads ? "safe for threads" : "not safe for threads");
}

}  // namespace mtrain::checkpoint
