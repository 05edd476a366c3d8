// The few HDF5 calls that writing a checkpoint needs, wrapped; used for rank files only.
#include "h5.hpp"

#include "mtrain/checkpoint/inspect.hpp"

namespace mtrain::checkpoint::h5 {
namespace {

herr_t keep_first(unsigned, const H5E_error2_t* error, void* text) {
  auto& cause = *static_cast<std::string*>(text);
  if (cause.empty() && error->desc) cause = error->desc;
  return 0;
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
